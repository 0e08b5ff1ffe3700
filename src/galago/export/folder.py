"""The model folder: everything that a device needs, written whole or not at all."""

import dataclasses
import json
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
from galago.export.ranges import measure_ranges, range_table
from galago.export.reference import checkpoint_spec
from galago.export.rewrite.deploy import DEFAULT_SIZE
from galago.export.stages import record_stages
from galago.export.writers.table import FORMATS, check_formats
from galago.models.checkpoint import load_checkpoint
from galago.models.inference import TorchEngine
from galago.runtime.engines.table import installed_engines, open_engine
from galago.runtime.engines.trial import vouch
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import SIZE_MULTIPLE, ModelSpec
from galago.verification.checks import compare
from galago.verification.compare import TOLERANCES
from galago.verification.fingerprints import save_stages
from galago.verification.golden import DESCRIPTION, LABELS, LOGITS, PHOTO, STAGES, Golden

GOLDEN_SIZE = (
    192,
    256,
)  # of the drawn photo that lets any host test itself, unless the model takes one size only
GOLDEN_SEED = 1
FILES = (
    "model.json",
    "CARD.md",
    *(f"golden/{name}" for name in (PHOTO, LOGITS, LABELS, STAGES, DESCRIPTION)),
)
RANGES = "ranges.json"  # of attention in float16
Report = Callable[[str], None]


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    wanted: "ExportConfig",
    *,
    formats: Sequence[str] = ("onnx",),
    int8: Int8 | None = None,
    report: Report = lambda what: None,
) -> "ExportResult":
    """Write the model folder of a checkpoint; see `write_model_folder`.

    Args:
        checkpoint: as training writes it.
        out: the folder.
        wanted: name, size, precision, output and licenses.
        formats: what to write, keys of `FORMATS`.
        int8: how to make int8 files, where the precision is int8.
        report: told what is being done.
    Returns:
        as `write_model_folder`.
    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        ConfigError: the size is no multiple of 32, or a format is unknown or cannot be had so.
        ModelError: as `write_model_folder`.
    """
    network, metadata = load_checkpoint(checkpoint)
    spec = wanted.apply(checkpoint_spec(checkpoint, metadata))
    check_formats([*formats], spec)
    facts: dict[str, Any] = {
        key: json.loads(metadata[key]) for key in ("scores", "run", "published") if key in metadata
    }
    return write_model_folder(
        network, spec, out, facts=facts, formats=formats, int8=int8, report=report
    )


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What the user decides about a model folder.

    Attributes:
        name: of the model.
        input_size: the one (height, width) that the files shall take, to which photos are then
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
        """Return a checkpoint's description with all this in it.

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
    """What is known of the files of a folder.

    Attributes:
        differences: for each format how far its file is from torch on the golden photo, as `prove`
            measures it, or None where no engine that runs it is installed.
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
    report: Report = lambda what: None,
) -> ExportResult:
    """Write the model's files, golden/, CARD.md and model.json, and prove that each file gives what
    the network gives.

    Args:
        network: a trained segmentation network.
        spec: its description, without checksums.
        out: the folder; at every moment the older model folder stands there or the new one, whole.
        facts: about the training, for the card: as kept in the checkpoint.
        formats: what to write, keys of `FORMATS`.
        int8: how to make int8 files, where the precision is int8.
        report: told what is being done.
    Returns:
        how near each file is to torch, and what int8 costs.
    Raises:
        ModelError: the folder cannot be written, holds something else, or a file does not give what
            the network gives.
    """
    check_replaceable(out)
    try:
        with folder_beside(out) as new:
            one_size = any(FORMATS[format].one_size for format in formats)
            size = spec.input_size or (DEFAULT_SIZE if one_size else GOLDEN_SIZE)
            golden = draw_golden(TorchEngine(network, spec), spec, size)
            written = ExportResult()
            for format in formats:
                file = new / FORMATS[format].files[0]
                if int8:
                    written.int8.append(int8.write(network, spec, file, format, report))
                else:
                    report(f"Writing {file.name}")
                    FORMATS[format].write(network, spec, file)
                report(f"Checking {file.name}")
                written.differences[format] = prove(file, spec, golden)
            report("Writing golden photo and card")
            write_golden(golden, spec, new / "golden")
            if spec.precision == "float16":
                facts = facts | {"ranges": write_ranges(network, spec, new / RANGES)}
            if written.int8:
                facts = facts | {"int8": int8_table(written.int8)}
            write_card(new / "CARD.md", network, spec, facts)
            sums = {
                path.relative_to(new).as_posix(): sha256(path)
                for path in sorted(new.rglob("*"))
                if path.is_file()
            }
            (new / "model.json").write_text(
                dataclasses.replace(spec, files=sums).to_json(), encoding="utf-8"
            )
    except OSError as failure:
        reason = failure.strerror or failure
        raise ModelError(
            f"Cannot write the model folder {out}: {reason}. Choose another --out."
        ) from failure
    return written


def check_replaceable(out: Path) -> None:
    """Refuse to write a model folder over anything but an older model folder or an empty one.

    Raises:
        ModelError: a file is there, or a folder with files that no model folder has.
    """
    if out.exists() and not out.is_dir():
        raise ModelError(f"{out} is a file. Choose a folder with --out.")
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    own = {*FILES, RANGES, *(file for format in FORMATS.values() for file in format.files)}
    if strangers := sorted(
        there
        if "model.json" not in there
        else [name for name in there if own.isdisjoint((name, name.split("/")[0]))]
    ):
        shown = ", ".join(strangers[:5])
        raise ModelError(
            f"{out} holds files that are no part of a model folder: {shown}. Choose another --out."
        )


def prove(file: Path, spec: ModelSpec, golden: Golden) -> float | None:
    """Compare a file with the trained network on the golden photo, in every installed engine,
    exactly as `galago verify` does.

    Returns:
        the largest relative L2 error of logits, or share of other labels where the file gives
        labels; None where no engine that runs it is installed.
    Raises:
        ModelError: an engine cannot run the file, or what it gives is out of the tolerance of
            `galago verify`.
    """
    worst = None
    vouch(file)
    for engine in installed_engines([file.name]):
        segmenter = Segmenter(open_engine(file, engine), spec.unresized())
        found, _ = compare(segmenter, golden.photo, golden.logits, golden.labels)
        if faults := found.faults(TOLERANCES[spec.precision]):
            raise ModelError(
                f"{file.name} does not give in {engine} what was trained: {'; '.join(faults)}. "
                "Nothing was written."
            )
        measured = 1 - found.labels if found.relative_error is None else found.relative_error
        worst = max(measured, worst or 0.0)
    return worst


def write_ranges(network: nn.Module, spec: ModelSpec, path: Path) -> str:
    """Measure how near the attention comes to float16's limit, as trained and as exported.

    Write all of it, return a table.
    """
    rows = measure_ranges(network, spec)
    path.write_text(json.dumps([row.facts() for row in rows], indent=2) + "\n")
    return range_table(rows)


def draw_golden(reference: TorchEngine, spec: ModelSpec, size: tuple[int, int]) -> Golden:
    """Draw the golden photo and label it with the trained network.

    The photo goes through the network as it is, whatever the model's resize rule: how a host
    resizes is no part of this test.

    Args:
        reference: the trained network.
        spec: its description.
        size: (height, width) of the photo, which all files of the folder take.
    """
    photo = render_scene(GOLDEN_SEED, size).image
    segmenter = Segmenter(reference, dataclasses.replace(spec.unresized(), output="logits"))
    return Golden(
        photo=photo,
        logits=segmenter.logits(photo),
        labels=segmenter(photo).labels,
        palette=spec.palette,
        spec=spec,
        stages=record_stages(reference, photo),
    )


def write_golden(golden: Golden, spec: ModelSpec, folder: Path) -> None:
    """Write a drawn photo with what the network gives for it, so that any host can test itself.

    Beside the photo are its logits (float32), its label map, fingerprints of intermediate maps, and
    the description of the network.
    """
    folder.mkdir()
    images.save(folder / PHOTO, golden.photo)
    np.save(folder / LOGITS, golden.logits)
    images.save_labels(folder / LABELS, golden.labels, spec.palette)
    save_stages(folder / STAGES, golden.stages)
    (folder / DESCRIPTION).write_text(spec.to_json(), encoding="utf-8")
