"""The model folder: everything that a device needs, written whole or not at all."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from galago import image as images
from galago._core.atomic_io import folder_beside, sha256
from galago.errors import ConfigError, ModelError
from galago.export.card import write_card
from galago.export.int8 import Int8, Int8Result, int8_table
from galago.export.layers import record_fingerprints
from galago.export.ranges import measure_ranges, range_table
from galago.export.reference import checkpoint_spec
from galago.export.rewrite.deploy import DEFAULT_SIZE, DeployedNetwork
from galago.export.writers.table import WRITERS, check_formats
from galago.models.checkpoint import load_checkpoint
from galago.models.inference import TorchEngine
from galago.runtime.engines.table import installed_engines, open_engine
from galago.runtime.engines.trial import vouch
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import SIZE_MULTIPLE, Metrics, ModelSpec
from galago.verification.compare import TOLERANCES, compare
from galago.verification.fingerprints import save_fingerprints
from galago.verification.golden import (
    DESCRIPTION,
    FINGERPRINTS,
    IMAGE,
    LABELS,
    LOGITS,
    Golden,
)

# (height, width) of the golden image, unless the model takes one size only
GOLDEN_SIZE = (192, 256)
GOLDEN_SEED = 1
FILES = (
    "model.json",
    "CARD.md",
    *(f"golden/{name}" for name in (IMAGE, LOGITS, LABELS, FINGERPRINTS, DESCRIPTION)),
)
RANGES = "ranges.json"  # of attention in float16
# keys of a checkpoint's metadata that a card needs
FACTS = ("scores", "run", "published")
OnStep = Callable[[str], None]


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    config: "ExportConfig",
    *,
    formats: Sequence[str] = ("onnx",),
    int8: Int8 | None = None,
    on_step: OnStep = lambda line: None,
) -> "ExportResult":
    """Write the model folder of a checkpoint.

    Args:
        checkpoint: a .safetensors file that training wrote.
        out: the folder.
        config: name, size, precision, output and licenses.
        formats: what to write, keys of `WRITERS`.
        int8: how to make int8 files, where the precision is int8.
        on_step: called with a line on each step.
    Returns:
        how close each file is to torch, and what int8 costs.
    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        ConfigError: the size is no multiple of 32, or a format is unknown or does not support the
            precision or the output.
        ModelError: the folder cannot be written, holds something else, or a file does not give what
            the network gives.
    """
    network, metadata = load_checkpoint(checkpoint)
    spec = config.apply(checkpoint_spec(checkpoint, metadata))
    check_formats([*formats], spec)
    facts: dict[str, Any] = {key: json.loads(metadata[key]) for key in FACTS if key in metadata}
    spec = dataclasses.replace(spec, metrics=_metrics(facts))
    return write_model_folder(
        network, spec, out, facts=facts, formats=formats, int8=int8, on_step=on_step
    )


def _metrics(facts: Mapping[str, Any]) -> Metrics | None:
    """Return the scores of a checkpoint as model.json keeps them; None where it has none."""
    published = facts.get("published")
    if published and published["score"] is not None:
        mean_iou = round(published["score"] / 100, 6)
        return Metrics(mean_iou=mean_iou, dataset=f"{published['data']} val")
    scores = facts.get("scores")
    if not scores or not math.isfinite(scores["mean_iou"]):
        return None
    data = facts.get("run", {}).get("data")
    return Metrics(
        mean_iou=round(scores["mean_iou"], 6),
        pixel_accuracy=round(scores["pixel_accuracy"], 6),
        dataset=data and f"{data}, validation split",
    )


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What the user decides about a model folder.

    Attributes:
        name: of the model.
        input_size: the one (height, width) that the files take, to which images are then
            stretched, or None for any.
        precision: float32, float16 or int8.
        output: logits or labels.
        licenses: one line each for code, weights and data.
    """

    name: str
    input_size: tuple[int, int] | None = None
    precision: str = "float32"
    output: str = "logits"
    licenses: Mapping[str, str] = field(default_factory=dict)

    def apply(self, spec: ModelSpec) -> ModelSpec:
        """Return the spec of a checkpoint with these decisions in it.

        Raises:
            ConfigError: the size is no multiple of 32.
        """
        spec = dataclasses.replace(
            spec,
            name=self.name,
            licenses=self.licenses,
            precision=self.precision,
            output=self.output,
        )
        if not self.input_size:
            return spec
        if any(side % SIZE_MULTIPLE for side in self.input_size):
            nearest = " ".join(
                str(max(1, round(side / SIZE_MULTIPLE)) * SIZE_MULTIPLE) for side in self.input_size
            )
            given = " ".join(map(str, self.input_size))
            raise ConfigError(
                f"The network takes multiples of {SIZE_MULTIPLE}, got --imgsz {given}. The nearest "
                f"is --imgsz {nearest}."
            )
        return dataclasses.replace(
            spec, input_size=self.input_size, resize="stretch", short_side=None
        )


@dataclass(frozen=True)
class ExportResult:
    """What was measured of the files of a folder.

    Attributes:
        differences: for each format how far its file is from torch on the golden image, in the
            measure of `prove`, or None where no engine that runs it is installed.
        int8: what int8 costs in each format, where it is int8.
    """

    differences: dict[str, float | None] = field(default_factory=dict)
    int8: list[Int8Result] = field(default_factory=list)


def write_model_folder(
    network: nn.Module,
    spec: ModelSpec,
    out: Path,
    *,
    facts: dict[str, Any],
    formats: Sequence[str] = ("onnx",),
    int8: Int8 | None = None,
    on_step: OnStep = lambda line: None,
) -> ExportResult:
    """Write the model's files, golden/, CARD.md and model.json, and prove that each file gives what
    the network gives.

    Args:
        network: a trained segmentation network.
        spec: its description, without checksums.
        out: the folder; at every moment it holds the older model or the new one, whole.
        facts: what the checkpoint says about the training, for the card; see `FACTS`.
        formats: what to write, keys of `WRITERS`.
        int8: how to make int8 files, where the precision is int8.
        on_step: called with a line on each step.
    Returns:
        how close each file is to torch, and what int8 costs.
    Raises:
        ModelError: the folder cannot be written, holds something else, or a file does not give what
            the network gives.
    """
    check_replaceable(out)
    try:
        with folder_beside(out) as new:
            deployed = DeployedNetwork(network, spec)
            one_size = any(WRITERS[format].one_size for format in formats)
            size = spec.input_size or (DEFAULT_SIZE if one_size else GOLDEN_SIZE)
            golden = render_golden(TorchEngine(network, spec), spec, size)
            result = ExportResult()
            for format in formats:
                file = new / WRITERS[format].files[0]
                if int8:
                    result.int8.append(int8.write(deployed, spec, file, format, on_step))
                else:
                    on_step(f"Writing {file.name}")
                    WRITERS[format].write(deployed, spec, file)
                on_step(f"Checking {file.name}")
                result.differences[format] = prove(file, spec, golden)
            on_step("Writing golden image and card")
            write_golden(golden, spec, new / "golden")
            if spec.precision == "float16":
                rows = measure_ranges(network, deployed, spec)
                (new / RANGES).write_text(
                    json.dumps([row.to_dict() for row in rows], indent=2) + "\n"
                )
                facts = facts | {"ranges": range_table(rows)}
            if result.int8:
                facts = facts | {"int8": int8_table(result.int8)}
            write_card(new / "CARD.md", network, spec, facts)
            (new / "model.json").write_text(
                dataclasses.replace(spec, files=_checksums(new)).to_json(), encoding="utf-8"
            )
    except OSError as failure:
        reason = failure.strerror or failure
        raise ModelError(
            f"Cannot write the model folder {out}: {reason}. Choose another --out."
        ) from failure
    return result


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder by its relative path."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def check_replaceable(out: Path) -> None:
    """Refuse to write a model folder over anything but an older model folder or an empty one.

    Raises:
        ModelError: a file is there, or a folder with files that no model folder has.
    """
    if out.exists() and not out.is_dir():
        raise ModelError(f"{out} is a file. Choose a folder with --out.")
    present = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    own = {*FILES, RANGES, *(file for writer in WRITERS.values() for file in writer.files)}
    foreign = present
    if "model.json" in present:
        foreign = {name for name in present if own.isdisjoint((name, name.split("/")[0]))}
    if foreign:
        shown = ", ".join(sorted(foreign)[:5])
        raise ModelError(
            f"{out} holds files that are no part of a model folder: {shown}. Choose another --out."
        )


def prove(file: Path, spec: ModelSpec, golden: Golden) -> float | None:
    """Compare a file with the trained network on the golden image, in every installed engine, with
    the tolerances of `galago verify`.

    Returns:
        the largest relative L2 error of logits, or share of other labels where the file gives
        labels; None where no engine that runs it is installed.
    Raises:
        ModelError: an engine cannot run the file, or its output is out of tolerance.
    """
    worst = None
    vouch(file)
    for engine in installed_engines([file.name]):
        segmenter = Segmenter(open_engine(file, engine), spec.unresized())
        difference, _ = compare(segmenter, golden.image, golden.logits, golden.labels)
        if failures := difference.failures(TOLERANCES[spec.precision]):
            raise ModelError(
                f"{file.name} does not give in {engine} what was trained: {'; '.join(failures)}. "
                "Nothing was written."
            )
        error = difference.relative_error
        error = 1 - difference.labels if error is None else error
        worst = max(error, worst or 0.0)
    return worst


def render_golden(reference: TorchEngine, spec: ModelSpec, size: tuple[int, int]) -> Golden:
    """Return a synthetic scene with what the trained network gives for it.

    The image goes through the network unresized, whatever the model's resize rule: how a host
    resizes is no part of this test.

    Args:
        reference: the trained network.
        spec: its description.
        size: (height, width) of the image, which all files of the folder take.
    """
    image = render_scene(GOLDEN_SEED, size).image
    segmenter = Segmenter(reference, dataclasses.replace(spec.unresized(), output="logits"))
    return Golden(
        image=image,
        logits=segmenter.logits(image),
        labels=segmenter(image).labels,
        palette=spec.palette,
        spec=spec,
        layers=record_fingerprints(reference, image),
    )


def write_golden(golden: Golden, spec: ModelSpec, folder: Path) -> None:
    """Write golden/, with which any host tests itself.

    It holds the image, its logits (float32), its label map, fingerprints of intermediate maps, and
    the description of the network.
    """
    folder.mkdir()
    images.save(folder / IMAGE, golden.image)
    np.save(folder / LOGITS, golden.logits)
    images.save_labels(folder / LABELS, golden.labels, spec.palette)
    save_fingerprints(folder / FINGERPRINTS, golden.layers)
    (folder / DESCRIPTION).write_text(spec.to_json(), encoding="utf-8")
