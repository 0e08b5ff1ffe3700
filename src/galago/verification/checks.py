"""Check every file of a model folder, in every engine that runs it, against the trained network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from galago.data import Dataset
from galago.errors import ConfigError, ImageError, ModelError
from galago.evaluation import evaluate
from galago.runtime.engines.table import AUTO, ENGINES, choose_engine, open_engine
from galago.runtime.model_folder import OpenedModel, open_model
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec
from galago.verification.activations import PROBES
from galago.verification.compare import (
    TOLERANCES,
    Difference,
    compare_labels,
    compare_logits,
    find_shift,
)
from galago.verification.contents import fixed_size_of, own_description, precision_of, tells_size
from galago.verification.fingerprints import (
    INPUT,
    LOGITS,
    Stage,
    best_matches,
    explain_input,
    explain_logits,
    first_divergence,
    late_input,
    pool,
)
from galago.verification.float16_overflow import overflow
from galago.verification.golden import Golden, description_faults, read_golden, unresized
from galago.verification.host import check_host
from galago.verification.report import Check, FileReport, Report
from galago.verification.twin import twin_of

SCENE_SEED = 5  # of the drawn photos; not that of golden/
GOLDEN = "golden"
LARGE = (1024, 2048)  # (height, width) of the photo on which float16 has to hold
PACKAGE = ".mlpackage/"  # CoreML's, which no engine here runs
FIRST = "backbone.stages.0.0"  # the stage that the photo goes into
Step = Callable[[str], None]


class Reference(Protocol):
    """The trained network in float32, where torch and its checkpoint are at hand."""

    segmenter: Segmenter

    def stages(self, photo: np.ndarray) -> list[Stage]:
        """Fingerprint the intermediate maps for an (H, W, 3) uint8 RGB photo."""


def verify(
    folder: str | Path,
    *,
    engines: Sequence[str] = (AUTO,),
    reference: Reference | None = None,
    sizes: Sequence[tuple[int, int]] = (),
    dataset: Dataset | None = None,
    on_step: Step = lambda what: None,
) -> Report:
    """Check a model folder.

    Args:
        folder: the model folder.
        engines: names; `auto` for all that are installed.
        reference: the trained network; golden/ alone without it.
        sizes: (height, width) of drawn photos, multiples of 32, that are compared with the
            reference, too.
        dataset: labeled photos on which file and reference are scored.
        on_step: told what is being done.
    Raises:
        ConfigError: an engine is unknown, or sizes or data are given without a reference.
        MissingDependencyError: an engine that was named is not installed.
        ModelError: the folder is damaged, has no golden/, or no file for an engine that was named.
    """
    if reference is None and (sizes or dataset is not None):
        raise ConfigError(
            "Sizes and labeled photos are compared with the trained network. Say which by "
            "--against CHECKPOINT."
        )
    opened = open_model(folder)
    golden = read_golden(next(iter(opened.files.values())).parent)
    trained = reference.segmenter.spec if reference else None
    precision = (golden.spec or opened.spec).precision
    report = Report(
        name=opened.spec.name,
        precision=precision,
        against="the checkpoint" if reference else "golden/, as the trained network gave it",
        tolerance=TOLERANCES[precision],
    )
    report.description, copies = content_faults(opened)
    report.description = (
        description_faults(opened.spec, golden, trained, copies) + report.description
    )
    golden = unresized(golden, golden.spec or opened.spec)
    pairs = list(runs(opened, engines))
    run = {file for file, _ in pairs}
    files = dict.fromkeys(
        [*opened.files, *(name.split("/")[0] for name in opened.spec.files if PACKAGE in name)]
    )
    report.skipped = [
        f"{file}: no engine that runs it is installed or was named"
        for file in files
        if file not in run
    ]
    for file, engine in pairs:
        on_step(f"{file} in {engine}")
        report.files.append(check_file(opened, (file, engine), golden, reference, sizes))
        if dataset is not None and reference is not None and not report.files[-1].trouble:
            add_scores(report.files, opened, reference.segmenter, dataset, on_step)
    for file in dict.fromkeys(file for file, _ in pairs):
        look_for_overflow(report, opened, file, sizes)
    if opened.spec.output == "labels":
        report.skipped.append("values that are not finite: files that give labels hide them")
    report.scores = next((file.expected for file in report.files if file.expected), None)
    return report


def runs(opened: OpenedModel, engines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each file with each engine that runs it and is installed, or was named."""
    from importlib.util import find_spec

    for name in engines:
        if name != AUTO:
            choose_engine(name, opened.files)
    for name, kind in ENGINES.items():
        if name in engines or (AUTO in engines and find_spec(kind.package)):
            yield from ((file, name) for file in kind.files if file in opened.files)


def check_file(
    opened: OpenedModel,
    pair: tuple[str, str],
    golden: Golden,
    reference: Reference | None,
    sizes: Sequence[tuple[int, int]],
) -> FileReport:
    """Compare one file in one engine on all photos.

    Where it fails, look for the stage and the cause.
    """
    file, engine = pair
    path, truth = opened.files[file], golden.spec or opened.spec
    report = FileReport(file=file, engine=engine)
    try:
        report.precision = precision_of(path) or truth.precision
        fixed = fixed_size_of(path) if tells_size(path) else opened.spec.input_size
        segmenter = Segmenter(
            open_engine(path, engine), replace(opened.spec.unresized(), input_size=fixed)
        )
        for name, photo, logits, labels in photos(segmenter, golden, reference, sizes):
            difference, shown = compare(segmenter, photo, logits, labels)
            faults = difference.faults(TOLERANCES[report.precision])
            report.checks.append(Check(photo=name, difference=difference, faults=faults))
            if report.pictures is None or difference.labels < min(
                check.difference.labels for check in report.checks[:-1]
            ):
                report.pictures = (photo, labels, shown)
            if faults and report.stage is None:
                diagnose(
                    report,
                    opened,
                    segmenter,
                    golden if name == GOLDEN else None,
                    reference,
                    (photo, logits, labels, shown),
                )
        trained = reference.segmenter if reference else None
        report.host = [
            *check_host(Segmenter(segmenter.engine, opened.spec), trained, truth, report.precision)
        ]
    except (ModelError, ImageError) as error:
        report.trouble = str(error)
    return report


def content_faults(opened: OpenedModel) -> tuple[list[str], dict[str, ModelSpec]]:
    """Compare what the files of a folder are with what model.json says about them.

    Returns:
        what differs, in words, and the descriptions inside of files, by where they are.
    """
    faults, copies = [], {}
    for name, file in opened.files.items():
        try:
            precision = precision_of(file)
            if precision not in (None, opened.spec.precision):
                faults.append(
                    f"precision: model.json says {opened.spec.precision!r}, the weights in {name} "
                    f"are {precision}"
                )
            if tells_size(file) and (size := fixed_size_of(file)) != opened.spec.input_size:
                takes = "any size" if size is None else f"{size} only"
                faults.append(
                    f"input size: model.json says {opened.spec.input_size}, {name} takes {takes}"
                )
            if own := own_description(file):
                copies[f"the description inside {name}"] = own
        except ModelError as error:
            faults.append(f"{name}: {error}")
    return faults, copies


def look_for_overflow(
    report: Report, opened: OpenedModel, file: str, sizes: Sequence[tuple[int, int]]
) -> None:
    """Look for values that float16 does not hold, on a large photo: no engine on a CPU rounds to
    float16 in between.

    Args:
        report: gets what is found, or why nothing was looked for.
        opened: the folder.
        file: name of one that was checked.
        sizes: that were asked for; the largest of them and of `LARGE` is taken.
    """
    first = next(checked for checked in report.files if checked.file == file)
    if first.trouble or "float16" not in (first.precision, opened.spec.precision):
        return
    path = opened.files[file]
    try:
        fixed = (
            fixed_size_of(path) if tells_size(path) else open_engine(path, first.engine).input_size
        )
        size = fixed or max((LARGE, *sizes), key=lambda sides: sides[0] * sides[1])
        found, reason = overflow(path, render_scene(SCENE_SEED, size).image[None])
    except ModelError as error:
        found, reason = None, str(error)
    first.overflow = found and f"{size[0]} x {size[1]}: {found}"
    if reason:
        report.skipped.append(f"{file}: overflow of float16 was not looked for: {reason}")


def photos(
    segmenter: Segmenter,
    golden: Golden,
    reference: Reference | None,
    sizes: Sequence[tuple[int, int]],
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield name, photo, expected logits and labels of each photo that a file takes as it is."""
    fixed = segmenter.input_size
    if fixed in (None, golden.photo.shape[:2]):
        yield GOLDEN, golden.photo, golden.logits, golden.labels
    if reference is None:
        if fixed not in (None, golden.photo.shape[:2]):
            raise ModelError(
                f"takes {fixed} only, and golden/ holds another size: give --against, or export "
                "with --imgsz"
            )
        return
    for size in dict.fromkeys([fixed] if fixed else sizes):
        photo = render_scene(SCENE_SEED, size).image
        whole = Segmenter(reference.segmenter.engine, reference.segmenter.spec.unresized())
        yield (
            f"{size[0]} x {size[1]}",
            photo,
            whole.engine.run(photo[None])[0].copy(),
            whole(photo).labels,
        )


def compare(
    segmenter: Segmenter, photo: np.ndarray, logits: np.ndarray, labels: np.ndarray
) -> tuple[Difference, np.ndarray]:
    """Run a file on a photo; return how far it is from what is expected, and its labels."""
    about: dict[str, Any] = {"relative_error": None, "largest": None, "mean": None, "not_finite": 0}
    if segmenter.spec.output == "logits":
        given = segmenter.engine.run(photo[None])[0].copy()
        if given.shape != logits.shape:
            raise ModelError(
                f"gives logits of shape {given.shape}, the trained network {logits.shape}"
            )
        about = compare_logits(logits, given)
    if about["not_finite"]:
        return Difference(**about, labels=0.0, inside=0.0), np.zeros_like(labels)
    shown = segmenter(photo).labels
    return Difference(**about, **compare_labels(labels, shown)), shown  # type: ignore[arg-type]  # labels is never None


def diagnose(
    report: FileReport,
    opened: OpenedModel,
    segmenter: Segmenter,
    golden: Golden | None,
    reference: Reference | None,
    seen: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Find the first stage that differs, and what explains it."""
    photo, logits, labels, shown = seen
    allowed = TOLERANCES[report.precision].stage_error
    stages = (
        golden.stages if golden and golden.stages else reference.stages(photo) if reference else []
    )
    if stages and report.engine in PROBES:
        probe, file = PROBES[report.engine], opened.files[report.file]
        shapes = {stage.shape for stage in stages}
        report.stage_errors = best_matches(stages, probe(file, photo[None], shapes))
        report.stage = first_divergence(stages, report.stage_errors, allowed)
        if report.stage in (INPUT, FIRST):
            explain_first(
                report, opened.spec, stages[0], [*probe(file, photo[None], {stages[0].shape})]
            )
    if segmenter.spec.output == "logits" and report.stage in (LOGITS, None):
        order = explain_logits(logits, segmenter.engine.run(photo[None])[0])
        if order:
            moved = ", ".join(f"{new} for {old}" for old, new in enumerate(order) if new != old)
            report.cause = f"the classes stand in another order: {moved}"
    if report.cause is None and (shift := find_shift(labels, shown)):
        report.cause = f"the labels are shifted by {shift[0]} rows and {shift[1]} columns, as by a crop or padding that is off by one"


def explain_first(
    report: FileReport, spec: ModelSpec, stage: Stage, tensors: Sequence[np.ndarray]
) -> None:
    """Look for what happened to the photo before the first layer, which may come after a right
    normalization.
    """
    norm = spec.mean, spec.std
    if report.stage == INPUT:
        report.cause = explain_input(stage, tensors, norm)
    elif late := late_input(stage, tensors):
        report.cause = explain_input(stage, late, norm)
        if report.cause:
            report.stage = INPUT
            report.stage_errors[INPUT] = stage.error(pool(late[0]))


def add_scores(
    reports: Sequence[FileReport],
    opened: OpenedModel,
    trained: Segmenter,
    dataset: Dataset,
    on_step: Step,
) -> None:
    """Score the last of the files on labeled images, and the trained network in its place.

    Args:
        reports: of the files so far; one whose images reach the network alike has scored the
            trained network already.
        opened: the folder.
        trained: the network of the checkpoint.
        dataset: labeled images.
        on_step: told what is being done.
    """
    report = reports[-1]
    segmenter = Segmenter(open_engine(opened.files[report.file], report.engine), opened.spec)
    report.fixed_size = segmenter.engine.input_size
    alike = [
        file.expected
        for file in reports[:-1]
        if file.expected and file.fixed_size == report.fixed_size
    ]
    try:
        if alike:
            report.expected = alike[0]
        else:
            on_step("scoring the trained network")
            twin = twin_of(segmenter, trained)
            report.expected = evaluate(lambda image: twin(image).labels, dataset)
        on_step(f"scoring {report.file} in {report.engine}")
        report.scores = evaluate(lambda image: segmenter(image).labels, dataset)
    except ModelError as error:
        report.trouble = str(error)
        return
    report.mean_iou_drop = report.expected.mean_iou - report.scores.mean_iou
    allowed = TOLERANCES[report.precision].mean_iou_drop
    if report.mean_iou_drop > allowed:
        points = 100 * report.mean_iou_drop
        report.score_fault = (
            f"labeled photos: mean IoU {points:.2f} points lower (at most {100 * allowed:.2f})"
        )
