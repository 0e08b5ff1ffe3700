"""The model folder: everything that a device needs, written whole or not at all."""

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from galago import image as images
from galago.data.scenes import draw_scene
from galago.errors import ModelError, choose
from galago.export.card import write_card
from galago.export.reference import TorchEngine, checkpoint_spec
from galago.export.to_litert import DEFAULT_SIZE, to_litert
from galago.export.to_ncnn import to_ncnn
from galago.export.to_onnx import to_onnx
from galago.files import sha256
from galago.models.checkpoint import load_checkpoint
from galago.runtime import load
from galago.runtime.engines import ENGINES, FORMATS, open_engine
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec

GOLDEN_SIZE = (192, 256)  # of the drawn photo that lets any host test itself, unless the model takes one size only
GOLDEN_SEED = 1
FILES = ("model.json", "model.onnx", "CARD.md", "golden/photo.png", "golden/logits.npy", "golden/labels.png")
OTHER_FILES = ("model.tflite", "model.ncnn.param", "model.ncnn.bin")  # where they are asked for
TOLERANCE = 1e-4  # relative L2 error of float32 logits: the same sums in another order


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    name: str,
    input_size: tuple[int, int] | None,
    licenses: dict[str, str],
    formats: Sequence[str] = ("onnx",),
) -> float:
    """Write the model folder of a checkpoint; see `write_model_folder`.

    Args:
        checkpoint: as training writes it.
        out: the folder.
        name: of the model.
        input_size: the one (height, width) the file shall take, to which photos are then stretched, or None for any.
        licenses: one line each for code, weights and data.
        formats: what to write: onnx, litert, ncnn.
    Returns:
        as `write_model_folder`.
    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        ConfigError: the size is no multiple of 32, or a format is unknown.
        ModelError: as `write_model_folder`.
    """
    network, metadata = load_checkpoint(checkpoint)
    spec = dataclasses.replace(checkpoint_spec(checkpoint, metadata), name=name, licenses=licenses)
    if input_size:
        spec = dataclasses.replace(spec, input_size=input_size, resize="stretch")
    facts: dict[str, Any] = {key: json.loads(metadata[key]) for key in ("scores", "run") if key in metadata}
    return write_model_folder(network, spec, out, facts=facts, formats=formats)


def write_model_folder(
    network: nn.Module, spec: ModelSpec, out: Path, *, facts: dict[str, Any], formats: Sequence[str] = ("onnx",)
) -> float:
    """Write the model's files, golden/, CARD.md and model.json, and prove that each file gives the network's logits.

    Args:
        network: a trained segmentation network.
        spec: its description, without checksums.
        out: the folder; an older model folder there is replaced once the new one is whole.
        facts: about the training, for the card: as kept in the checkpoint.
        formats: what to write: onnx, litert, ncnn.
    Returns:
        relative L2 error between a file's logits and torch's on a drawn photo, the largest of all files.
    Raises:
        ModelError: the folder cannot be written, holds something else, or the file does not give the network's logits.
    """
    check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
            new = Path(temporary) / out.name
            new.mkdir()
            for format in formats:
                write_network(network, spec, new, format)
            reference = TorchEngine(network, spec)
            write_golden(Segmenter(reference, spec), new / "golden")
            write_card(new / "CARD.md", network, spec, facts)
            sums = {path.relative_to(new).as_posix(): sha256(path) for path in sorted(new.rglob("*")) if path.is_file()}
            (new / "model.json").write_text(dataclasses.replace(spec, files=sums).to_json())
            error = max(relative_error(new, spec, format, reference) for format in formats)
            if not error <= TOLERANCE:  # so that nan fails, too
                raise ModelError(f"The file's logits differ from torch's by {error:.1e} (relative), more than {TOLERANCE:.0e}.")
            if out.exists():
                out.rename(Path(temporary) / "replaced")
            new.rename(out)
    except OSError as failure:
        reason = failure.strerror or failure
        raise ModelError(f"Cannot write the model folder {out}: {reason}. Choose another --out.") from failure
    return error


def check_replaceable(out: Path) -> None:
    """Refuse to write a model folder over anything but an older model folder or an empty one.

    Raises:
        ModelError: a file is there, or a folder with files that no model folder has.
    """
    if out.exists() and not out.is_dir():
        raise ModelError(f"{out} is a file. Choose a folder with --out.")
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    if strangers := sorted(there if "model.json" not in there else there - {*FILES, *OTHER_FILES}):
        shown = ", ".join(strangers[:5])
        raise ModelError(f"{out} holds files that are no part of a model folder: {shown}. Choose another --out.")


def write_network(network: nn.Module, spec: ModelSpec, folder: Path, format: str) -> None:
    """Write a network into a folder in one format.

    Raises:
        ConfigError: the format is unknown.
        MissingDependencyError: its converter is not installed.
    """
    file = folder / choose({format: name for name, format in FORMATS.items()}, format, "format")
    if format == "onnx":
        to_onnx(network, spec, file)
    elif format == "litert":
        to_litert(network, spec, file, size=spec.input_size or DEFAULT_SIZE)
    else:
        to_ncnn(network, spec, file)


def relative_error(folder: Path, spec: ModelSpec, format: str, reference: TorchEngine) -> float:
    """Return the relative L2 error of one file's logits on a drawn photo of a size that it takes.

    Raises:
        MissingDependencyError: the engine that runs it is not installed.
        ModelError: the engine cannot read or run it.
    """
    if format == "onnx":
        return golden_error(folder)
    engine = open_engine(folder / ENGINES[format].file, format)  # both are called alike
    size = engine.input_size or spec.input_size or GOLDEN_SIZE
    photo = draw_scene(GOLDEN_SEED, size).image[None]
    expected, given = reference.run(photo), engine.run(photo)
    return float(np.linalg.norm(given - expected) / np.linalg.norm(expected))


def write_golden(reference: Segmenter, folder: Path) -> None:
    """Write a drawn photo with the reference's logits (float32, as .npy) and label map, so that any host can test itself.

    The photo has a size that the network takes as it is: how a host resizes photos is no part of the test.
    """
    folder.mkdir()
    photo = draw_scene(GOLDEN_SEED, reference.spec.input_size or GOLDEN_SIZE).image
    images.save(folder / "photo.png", photo)
    np.save(folder / "logits.npy", reference.logits(photo))
    images.save_labels(folder / "labels.png", reference(photo).labels, reference.spec.palette)


def golden_error(folder: Path) -> float:
    """Return the relative L2 error of a model folder's logits on its own golden photo."""
    expected = np.load(folder / "golden" / "logits.npy")
    given = load(str(folder)).logits(images.load(folder / "golden" / "photo.png"))
    return float(np.linalg.norm(given - expected) / np.linalg.norm(expected))
