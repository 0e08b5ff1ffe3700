"""What a model folder says about itself: the golden photo, what the trained network gave for it, and for what network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galago import image as images
from galago.errors import ConfigError, ModelError
from galago.png import read_chunks
from galago.runtime.upsample import label_map
from galago.spec import ModelSpec
from galago.verification.stages import Stage, load_stages

PHOTO, LOGITS, LABELS, STAGES, DESCRIPTION = "photo.png", "logits.npy", "labels.png", "stages.npz", "description.json"
SAME_LABELS = 0.9999  # of the golden labels, when galago makes them from the golden logits
FIELDS = {  # what model.json and the trained network must say alike, in words
    "classes": "class names or their order",
    "palette": "palette",
    "ignore_id": "ignore id",
    "mean": "mean of the normalization",
    "std": "std of the normalization",
    "output_stride": "output stride",
    "upsampling": "upsampling",
    "variant": "network",
}


@dataclass(frozen=True, eq=False)
class Golden:
    """The content of golden/.

    Attributes:
        photo: (H, W, 3) uint8 RGB.
        logits: (K, h, w) float32.
        labels: (H, W) uint8.
        palette: of the label file.
        spec: description of the trained network; None in folders of an older galago.
        stages: of the trained network; none in folders of an older galago.
    """

    photo: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    palette: tuple[tuple[int, ...], ...]
    spec: ModelSpec | None
    stages: list[Stage]


def read_golden(folder: Path) -> Golden:
    """Read golden/ of a model folder.

    Raises:
        ModelError: a file is missing or damaged.
    """
    golden = folder / "golden"
    for name in (PHOTO, LOGITS, LABELS):
        if not (golden / name).is_file():
            raise ModelError(f"{golden / name} is missing, with which a folder is checked. Export the model again.")
    try:
        logits = np.load(golden / LOGITS, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{golden / LOGITS} is damaged. Copy the model folder again, or export it again.") from error
    labels = images.load_labels(golden / LABELS)
    spec = golden / DESCRIPTION
    described = ModelSpec.from_json(spec.read_text(encoding="utf-8")) if spec.is_file() else None
    return Golden(
        images.load(golden / PHOTO), logits, labels, palette_of(golden / LABELS), described, load_stages(golden / STAGES)
    )


def palette_of(file: Path) -> tuple[tuple[int, ...], ...]:
    """Return the colors of an indexed PNG."""
    chunks = dict(read_chunks(file.read_bytes()))
    return tuple(map(tuple, np.frombuffer(chunks.get(b"PLTE", b""), np.uint8).reshape(-1, 3).tolist()))


def description_faults(spec: ModelSpec, golden: Golden, trained: ModelSpec | None) -> list[str]:
    """Say what model.json and golden/ tell differently from the trained network, and from each other."""
    faults = []
    for other, where in ((golden.spec, f"golden/{DESCRIPTION}"), (trained, "the checkpoint")):
        for field, words in FIELDS.items() if other else ():
            ours, theirs = getattr(spec, field), getattr(other, field)
            if ours != theirs:
                faults.append(f"{words}: model.json says {_short(ours, theirs)}, {where} {_short(theirs, ours)}")
    if golden.palette[: spec.num_classes] != spec.palette:
        ours, theirs = _short(spec.palette, golden.palette), _short(golden.palette, spec.palette)
        faults.append(f"palette: model.json says {ours}, golden/{LABELS} {theirs}")
    faults += label_faults(spec, golden)
    return list(dict.fromkeys(faults))


def label_faults(spec: ModelSpec, golden: Golden) -> list[str]:
    """Say whether the golden logits, enlarged as model.json says, give the golden labels."""
    if golden.logits.shape[0] != spec.num_classes:
        return [f"classes: model.json names {spec.num_classes}, golden/{LOGITS} has {golden.logits.shape[0]}"]
    scale = 1 / spec.output_stride
    try:
        labels = label_map(golden.logits, (golden.labels.shape[0], golden.labels.shape[1]), (scale, scale), spec.upsampling)
    except (ConfigError, ModelError) as error:
        return [f"label map: {error}"]
    same = float((labels == golden.labels).mean())
    if same >= SAME_LABELS:
        return []
    return [f"label map: {spec.upsampling} upsampling of golden/{LOGITS} gives {same:.2%} of golden/{LABELS}"]


def _short(value: object, other: object) -> str:
    """Show a value, of a long one the first part that differs from another."""
    if isinstance(value, Sequence) and isinstance(other, Sequence) and not isinstance(value, str) and len(value) > 4:
        position = next(
            (index for index, (a, b) in enumerate(zip(value, other, strict=False)) if a != b), min(len(value), len(other))
        )
        return f"{value[position]!r} for class {position}" if position < len(value) else f"{len(value)} of them"
    return repr(value)
