"""golden/ of a model folder: an image, what the trained network gave for it, and the description of
that network.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from galago import image as images
from galago._core.png import read_chunks
from galago._core.text_files import read_text
from galago.errors import ConfigError, ModelError
from galago.labels import IGNORE_ID
from galago.runtime.labelmap.label_map import label_map
from galago.spec import LONGEST_SIDE, SIZE_MULTIPLE, ModelSpec, mean_color
from galago.verification.fingerprints import DAMAGES, LayerFingerprint, load_fingerprints

# names of the files, which older hosts read: they stay
IMAGE = "photo.png"
LOGITS = "logits.npy"
LABELS = "labels.png"
FINGERPRINTS = "stages.npz"
DESCRIPTION = "description.json"
AGAIN = "Copy the model folder again, or export it again."
SAME_LABELS = 0.9999  # least share of the golden labels that galago gets from the golden logits
# fields in which all descriptions must agree: all but name, licenses, metrics and files, which may
# be edited
FIELDS = {
    "classes": "class names or their order",
    "palette": "palette",
    "ignore_id": "ignore id",
    "mean": "mean of the normalization",
    "std": "std of the normalization",
    "output_stride": "output stride",
    "upsampling": "upsampling",
    "variant": "network",
    "input_size": "input size",
    "resize": "resize rule",
    "short_side": "short side",
    "output": "output",
    "precision": "precision",
}


@dataclass(frozen=True, eq=False)
class Golden:
    """The content of golden/.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        logits: (K, h, w) float32.
        labels: (H, W) uint8.
        palette: of the label file.
        spec: description of the trained network; None in folders of an older galago.
        layers: of the trained network; none in folders of an older galago.
    """

    image: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    palette: tuple[tuple[int, ...], ...]
    spec: ModelSpec | None
    layers: list[LayerFingerprint]


def read_golden(folder: Path) -> Golden:
    """Return the content of golden/ of a model folder.

    Raises:
        ModelError: a file is missing or damaged, or does not match the others.
        ImageError: an image is damaged.
    """
    golden = folder / "golden"
    for name in (IMAGE, LOGITS, LABELS):
        if not (golden / name).is_file():
            raise ModelError(
                f"{golden / name} is missing, with which a folder is checked. Export the model "
                "again."
            )
    image, labels = images.load(golden / IMAGE), images.load_labels(golden / LABELS)
    if labels.shape != image.shape[:2] or any(side % SIZE_MULTIPLE for side in labels.shape):
        raise ModelError(
            f"{golden / IMAGE} has {image.shape[:2]} pixels and {LABELS} {labels.shape}, expected "
            f"the same multiples of {SIZE_MULTIPLE}. {AGAIN}"
        )
    return Golden(
        image=image,
        logits=_load_logits(golden / LOGITS),
        labels=labels,
        palette=_palette_of(golden / LABELS),
        spec=_load_description(golden / DESCRIPTION),
        layers=load_fingerprints(golden / FINGERPRINTS),
    )


def _load_logits(file: Path) -> np.ndarray:
    """Return golden logits, (K, h, w) float32, all finite, after checking their header.

    Raises:
        ModelError: the file is damaged, or holds something else.
    """
    try:
        with file.open("rb") as content:
            version = np.lib.format.read_magic(content)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read(content)
        whole = (
            len(shape) == 3
            and 0 < shape[0] <= IGNORE_ID
            and all(0 < side <= LONGEST_SIDE for side in shape[1:])
        )
        if not whole or dtype != np.float32:
            raise ValueError(f"it holds {shape} of {dtype}")
        if file.stat().st_size < math.prod(shape) * dtype.itemsize:
            raise ValueError("it is cut short")
        logits: np.ndarray = np.load(file, allow_pickle=False)
        if not np.isfinite(logits).all():
            raise ValueError("some of it is not finite")
    except DAMAGES as error:
        raise ModelError(f"{file} is damaged. {AGAIN}") from error
    return logits


def _load_description(file: Path) -> ModelSpec | None:
    """Return the description of the trained network; None in folders of an older galago.

    Raises:
        ModelError: the file is damaged.
    """
    if not file.is_file():
        return None
    try:
        return ModelSpec.from_json(read_text(file))
    except (OSError, ValueError) as error:  # of the reader: one sentence
        raise ModelError(f"{file} is damaged: {str(error).rstrip('.')}. {AGAIN}") from error
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def is_resized(golden: Golden, spec: ModelSpec) -> bool:
    """Return whether golden logits are those of the resized image, which an older galago wrote."""
    stride = spec.output_stride
    if spec.resize != "short_side" or not spec.short_side:
        return False
    resized = images.short_side_size(golden.image.shape[:2], spec.short_side)
    padded = [-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE // stride for side in resized]
    return [*golden.logits.shape[1:]] == padded and padded != [
        side // stride for side in golden.image.shape[:2]
    ]


def unresized(golden: Golden, spec: ModelSpec) -> Golden:
    """Return a Golden whose image is what the network got, also if an older galago resized it."""
    if not is_resized(golden, spec) or not spec.short_side:
        return golden
    resized = images.short_side_size(golden.image.shape[:2], spec.short_side)
    image = images.pad_to_multiple(images.resize(golden.image, resized), mean_color(spec.mean))
    scale = 1 / spec.output_stride
    labels = label_map(
        golden.logits, (image.shape[0], image.shape[1]), (scale, scale), spec.upsampling
    )
    return replace(golden, image=image, labels=labels, layers=[])


def _palette_of(file: Path) -> tuple[tuple[int, ...], ...]:
    """Return the colors of an indexed PNG.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        chunks = dict(read_chunks(file.read_bytes()))
        return tuple(
            map(tuple, np.frombuffer(chunks.get(b"PLTE", b""), np.uint8).reshape(-1, 3).tolist())
        )
    except DAMAGES as error:
        raise ModelError(f"{file} is damaged. {AGAIN}") from error


def description_failures(
    spec: ModelSpec,
    golden: Golden,
    trained: ModelSpec | None,
    copies: Mapping[str, ModelSpec] = MappingProxyType({}),
) -> list[str]:
    """Return where model.json contradicts golden/, the trained network, or copies of itself, as
    sentences.

    Args:
        spec: of model.json.
        golden: with the description that export recorded.
        trained: of the checkpoint.
        copies: further descriptions, by their place: those inside of files.
    """
    failures = []
    sources = [
        (golden.spec, f"golden/{DESCRIPTION}", [*FIELDS]),
        (trained, "the checkpoint", _trained_fields(spec)),
    ]
    sources += [(copy, where, [*FIELDS]) for where, copy in copies.items()]
    for other, where, fields in sources:
        for field in fields if other else ():
            ours, theirs = getattr(spec, field), getattr(other, field)
            if ours != theirs:
                words = FIELDS[field]
                failures.append(
                    f"{words}: model.json says {_short(ours, theirs)}, {where} "
                    f"{_short(theirs, ours)}"
                )
    if golden.palette[: spec.num_classes] != spec.palette:
        ours, theirs = _short(spec.palette, golden.palette), _short(golden.palette, spec.palette)
        failures.append(f"palette: model.json says {ours}, golden/{LABELS} {theirs}")
    failures += _label_failures(spec, golden)
    return list(dict.fromkeys(failures))


def _trained_fields(spec: ModelSpec) -> list[str]:
    """Return the fields that export takes from the checkpoint; with an input size of its own it
    decides the resize rule.
    """
    decided = {"output", "precision", "input_size"} | (
        {"resize", "short_side"} if spec.input_size else set()
    )
    return [field for field in FIELDS if field not in decided]


def _label_failures(spec: ModelSpec, golden: Golden) -> list[str]:
    """Return, as sentences, whether the golden logits do not give the golden labels when they are
    upsampled by the rule of model.json.
    """
    if golden.logits.shape[0] != spec.num_classes:
        return [
            f"classes: model.json names {spec.num_classes}, golden/{LOGITS} has "
            f"{golden.logits.shape[0]}"
        ]
    size = (golden.labels.shape[0], golden.labels.shape[1])
    height, width = golden.logits.shape[1:]
    scale = (1 / spec.output_stride, 1 / spec.output_stride)
    if (height * spec.output_stride, width * spec.output_stride) != size:
        if not is_resized(golden, spec):
            return [
                f"output stride: golden/{LOGITS} has {height} x {width}, golden/{LABELS} {size[0]} "
                f"x {size[1]}"
            ]
        scale = (height / size[0], width / size[1])
    try:
        labels = label_map(golden.logits, size, scale, spec.upsampling)
    except (ConfigError, ModelError) as error:
        return [f"label map: {error}"]
    same = float((labels == golden.labels).mean())
    if same >= SAME_LABELS:
        return []
    return [
        f"label map: {spec.upsampling} upsampling of golden/{LOGITS} gives {same:.2%} of "
        f"golden/{LABELS}"
    ]


def _short(value: object, other: object) -> str:
    """Return a value for an error, of a long one the first element that differs from another."""
    if (
        isinstance(value, Sequence)
        and isinstance(other, Sequence)
        and not isinstance(value, str)
        and len(value) > 4
    ):
        position = next(
            (index for index, (a, b) in enumerate(zip(value, other, strict=False)) if a != b),
            min(len(value), len(other)),
        )
        return (
            f"{value[position]!r} for class {position}"
            if position < len(value)
            else f"{len(value)} of them"
        )
    return repr(value)
