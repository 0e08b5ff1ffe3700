"""Check every file of a model folder, in every engine that runs it, against the trained network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from galago.data import Dataset
from galago.errors import ConfigError, ImageError, ModelError
from galago.evaluation import evaluate
from galago.runtime.engines.table import AUTO, ENGINES, choose_engine, open_engine
from galago.runtime.model_folder import OpenedModel, open_model
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec
from galago.verification.compare import TOLERANCES, compare
from galago.verification.contents import fixed_size_of, own_description, precision_of, tells_size
from galago.verification.diagnosis import diagnose
from galago.verification.fingerprints import LayerFingerprint
from galago.verification.float16_overflow import overflow
from galago.verification.golden import Golden, description_failures, read_golden, unresized
from galago.verification.host import check_host
from galago.verification.reference import (
    GOLDEN,
    SCENE_SEED,
    ExpectedOutput,
    Reference,
    expected_outputs,
    reference_for,
)
from galago.verification.report import Check, FileReport, Report

LARGE = (1024, 2048)  # (height, width) of the image on which float16 may not overflow
COREML_PACKAGE = ".mlpackage/"  # no engine here runs it
OnStep = Callable[[str], None]


def verify(
    folder: str | Path,
    *,
    engines: Sequence[str] = (AUTO,),
    reference: Reference | None = None,
    sizes: Sequence[tuple[int, int]] = (),
    dataset: Dataset | None = None,
    on_step: OnStep = lambda what: None,
) -> Report:
    """Check a model folder.

    Args:
        folder: the model folder.
        engines: names; `auto` for all that are installed.
        reference: the trained network; default: golden/ alone.
        sizes: (height, width) of synthetic scenes, multiples of 32, that are compared with the
            reference, too.
        dataset: labeled images on which file and reference are scored.
        on_step: called with a line on each step.
    Raises:
        ConfigError: an engine is unknown, or sizes or data are given without a reference.
        MissingDependencyError: an engine that was named is not installed.
        ModelError: the folder is damaged, has no golden/, or no file for an engine that was named.
    """
    if reference is None and (sizes or dataset is not None):
        raise ConfigError(
            "Sizes and labeled photos are compared with the trained network. Name it with "
            "--against CHECKPOINT."
        )
    opened = open_model(folder)
    golden = read_golden(next(iter(opened.files.values())).parent)
    precision = (golden.spec or opened.spec).precision
    report = Report(
        name=opened.spec.name,
        precision=precision,
        against="the checkpoint" if reference else "golden/, as the trained network gave it",
        tolerance=TOLERANCES[precision],
    )
    _check_description(report, opened, golden, reference)
    golden = unresized(golden, golden.spec or opened.spec)
    runs = list(_iter_runs(opened, engines))
    checked = dict.fromkeys(file for file, _ in runs)
    packages = [name.split("/")[0] for name in opened.spec.files if COREML_PACKAGE in name]
    report.skipped = [
        f"{file}: no engine that runs it is installed or was named"
        for file in dict.fromkeys([*opened.files, *packages])
        if file not in checked
    ]
    for file, engine in runs:
        on_step(f"{file} in {engine}")
        report.files.append(_check_file(opened, file, engine, golden, reference, sizes))
        if dataset is not None and reference is not None and not report.files[-1].error:
            _add_scores(report.files, opened, reference.segmenter, dataset, on_step)
    for file in checked:
        look_for_overflow(report, opened, file, sizes)
    if opened.spec.output == "labels":
        report.skipped.append("values that are not finite: files that give labels hide them")
    report.scores = next((file.expected for file in report.files if file.expected), None)
    return report


def _iter_runs(opened: OpenedModel, engines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each file with each engine that runs it and is installed, or was named."""
    for name in engines:
        if name != AUTO:
            choose_engine(name, opened.files)
    for name, kind in ENGINES.items():
        if name in engines or (AUTO in engines and find_spec(kind.package)):
            yield from ((file, name) for file in kind.files if file in opened.files)


def _check_file(
    opened: OpenedModel,
    file: str,
    engine: str,
    golden: Golden,
    reference: Reference | None,
    sizes: Sequence[tuple[int, int]],
) -> FileReport:
    """Return the report of one file in one engine on all images, with layer and cause where it
    fails.
    """
    path = opened.files[file]
    exported_spec = golden.spec or opened.spec
    report = FileReport(file=file, engine=engine)
    try:
        report.precision = precision_of(path) or exported_spec.precision
        fixed_size = fixed_size_of(path) if tells_size(path) else opened.spec.input_size
        segmenter = Segmenter(
            open_engine(path, engine), replace(opened.spec.unresized(), input_size=fixed_size)
        )
        for expected in expected_outputs(segmenter, golden, reference, sizes):
            difference, labels = compare(
                segmenter, expected.image, expected.logits, expected.labels
            )
            failures = difference.failures(TOLERANCES[report.precision])
            least = min((check.difference.labels for check in report.checks), default=None)
            report.checks.append(
                Check(image=expected.name, difference=difference, failures=failures)
            )
            if least is None or difference.labels < least:
                report.pictures = (expected.image, expected.labels, labels)
            if failures and report.layer is None:
                layers = _layers(expected, golden, reference)
                diagnose(report, path, segmenter, expected, labels, layers)
        trained = reference.segmenter if reference else None
        host = Segmenter(segmenter.engine, opened.spec)
        report.host = [*check_host(host, trained, exported_spec, report.precision)]
    except (ModelError, ImageError) as error:
        report.error = str(error)
    return report


def _layers(
    expected: ExpectedOutput, golden: Golden, reference: Reference | None
) -> list[LayerFingerprint]:
    """Return the layers of the trained network for an image; none if they are unknown."""
    if expected.name == GOLDEN and golden.layers:
        return golden.layers
    return reference.fingerprints(expected.image) if reference else []


def _check_description(
    report: Report, opened: OpenedModel, golden: Golden, reference: Reference | None
) -> None:
    """Compare model.json with the files of a folder, with golden/ and with the checkpoint."""
    failures: list[str] = []
    copies: dict[str, ModelSpec] = {}
    for name, file in opened.files.items():
        try:
            failures += _content_failures(name, file, opened.spec)
            if own := own_description(file):
                copies[f"the description inside {name}"] = own
        except ModelError as error:
            failures.append(f"{name}: {error}")
    trained = reference.segmenter.spec if reference else None
    report.description = [
        *description_failures(opened.spec, golden, trained, copies),
        *failures,
    ]


def _content_failures(name: str, file: Path, spec: ModelSpec) -> list[str]:
    """Return what model.json says wrongly about a file, as sentences."""
    failures = []
    precision = precision_of(file)
    if precision not in (None, spec.precision):
        failures.append(
            f"precision: model.json says {spec.precision!r}, the weights in {name} are {precision}"
        )
    if tells_size(file) and (size := fixed_size_of(file)) != spec.input_size:
        takes = "any size" if size is None else f"{size} only"
        failures.append(f"input size: model.json says {spec.input_size}, {name} takes {takes}")
    return failures


def look_for_overflow(
    report: Report, opened: OpenedModel, file: str, sizes: Sequence[tuple[int, int]]
) -> None:
    """Look for values that overflow in float16, on a large image: no engine on a CPU rounds
    intermediate values to float16.

    Args:
        report: gets what is found, or why nothing was looked for.
        opened: the folder.
        file: name of one that was checked.
        sizes: that were asked for; the largest of them and of `LARGE` is taken.
    """
    first = next(checked for checked in report.files if checked.file == file)
    if first.error or "float16" not in (first.precision, opened.spec.precision):
        return
    path = opened.files[file]
    try:
        fixed_size = (
            fixed_size_of(path) if tells_size(path) else open_engine(path, first.engine).input_size
        )
        size = fixed_size or max((LARGE, *sizes), key=lambda sides: sides[0] * sides[1])
        found, reason = overflow(path, render_scene(SCENE_SEED, size).image[None])
    except ModelError as error:
        found, reason = None, str(error)
    first.overflow = found and f"{size[0]} x {size[1]}: {found}"
    if reason:
        report.skipped.append(f"{file}: overflow of float16 was not looked for: {reason}")


def _add_scores(
    reports: Sequence[FileReport],
    opened: OpenedModel,
    trained: Segmenter,
    dataset: Dataset,
    on_step: OnStep,
) -> None:
    """Score the last of the files on labeled images, and the trained network in its place.

    Args:
        reports: of the files so far; one with the same input size has the score of the trained
            network already.
        opened: the folder.
        trained: the network of the checkpoint.
        dataset: labeled images.
        on_step: called with a line on each step.
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
            expected = reference_for(segmenter, trained)
            report.expected = evaluate(lambda image: expected(image).labels, dataset)
        on_step(f"scoring {report.file} in {report.engine}")
        report.scores = evaluate(lambda image: segmenter(image).labels, dataset)
    except ModelError as error:
        report.error = str(error)
        return
    report.mean_iou_drop = report.expected.mean_iou - report.scores.mean_iou
    allowed = TOLERANCES[report.precision].mean_iou_drop
    if report.mean_iou_drop > allowed:
        points = 100 * report.mean_iou_drop
        report.score_failure = (
            f"labeled photos: mean IoU {points:.2f} points lower (at most {100 * allowed:.2f})"
        )
