"""galago verify: does a model folder give what the trained network gave?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galago.cli._options import JSON_HELP, SPLIT_HELP

if TYPE_CHECKING:
    from galago.verification import Report
    from galago.verification.reference import Reference
    from galago.verification.report import FileReport

AGAINST_HELP = (
    "Checkpoint that the folder was exported from, to compare with on synthetic photos of several "
    "sizes, too. Needs torch."
)
DATA_HELP = "Labeled photos, folder or YAML file, for the change of every IoU. Needs --against."
SIZE_HELP = (
    "Size that the network sees in a comparison; can be given several times (default: 512 x 1024 "
    "and 1024 x 2048). Needs --against."
)
ENGINE_HELP = "Engine to check; can be given several times (default: all installed ones)."
DEFAULT_SIZES = ((512, 1024), (1024, 2048))


def verify(
    model: Annotated[
        str,
        typer.Argument(
            help="Model folder, or the name of a bundled model.", metavar="MODEL_FOLDER"
        ),
    ],
    against: Annotated[Path | None, typer.Option(help=AGAINST_HELP)] = None,
    data: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    split: Annotated[str, typer.Option(help=SPLIT_HELP)] = "val",
    imgsz: Annotated[list[str] | None, typer.Option(help=SIZE_HELP, metavar="H [W]")] = None,
    engine: Annotated[list[str] | None, typer.Option(help=ENGINE_HELP)] = None,
    out: Annotated[Path, typer.Option(help="Folder for verify.json and verify.html.")] = Path(
        "runs/verify"
    ),
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Check every file of a model folder, in every engine that runs it, against the trained
    network.

    Without --against the photo in golden/ is enough, and torch is not needed. Exit code 1 if
    anything is out of tolerance; the layer where it begins is named.
    """
    from json import dumps

    from galago._core.atomic_io import write_whole
    from galago.cli._console import print_json, say
    from galago.cli._options import read_size
    from galago.cli._pages import write_page
    from galago.cli._progress import spinner
    from galago.data import open_dataset
    from galago.errors import ConfigError
    from galago.evaluation.evaluate import check_classes
    from galago.pretrained.resolve import resolve
    from galago.runtime.model_folder import open_model
    from galago.spec import SIZE_MULTIPLE
    from galago.verification import verify as check
    from galago.verification.report_page import draw_page

    folder = resolve(model)
    spec = open_model(folder).spec
    sizes = [read_size(text) for text in imgsz or []]
    if wrong := [size for size in sizes if any(side % SIZE_MULTIPLE for side in size)]:
        raise ConfigError(
            f"The network takes multiples of {SIZE_MULTIPLE}, got --imgsz "
            f"{wrong[0][0]}x{wrong[0][1]}."
        )
    dataset = open_dataset(data, split) if data else None
    if dataset:
        check_classes(spec.name, spec.classes, dataset)
    reference = open_reference(against) if against else None
    with spinner("Reading the golden photo") as on_step:
        report = check(
            folder,
            engines=engine or ["auto"],
            reference=reference,
            sizes=sizes or (DEFAULT_SIZES if reference else ()),
            dataset=dataset,
            on_step=lambda what: on_step(f"Checking: {what}"),
        )
    write_whole(out / "verify.json", (dumps(report.to_dict(), indent=2) + "\n").encode())
    pages = write_page(out / "verify.html", lambda: draw_page(report, spec.palette))
    show(report, to_stderr=json)
    say(f"Saved: {', '.join(map(str, (out / 'verify.json', *pages)))}", err=json)
    if json:
        print_json(report.to_dict() | {"out": str(out)})
    if not report.ok:
        raise typer.Exit(1)


def open_reference(checkpoint: Path) -> "Reference":
    """Open the checkpoint to compare with.

    Raises:
        CheckpointError: it is missing or damaged.
        MissingDependencyError: torch is not installed.
    """
    from galago.errors import require

    require("torch", "export")
    from galago.export.layers import CheckpointReference

    return CheckpointReference(checkpoint)


def show(report: "Report", *, to_stderr: bool) -> None:
    """Print a table of the checks, what is wrong, and the verdict.

    The table has the relative L2 error of logits, and the share of equal labels, of all pixels and
    of those inside areas.
    """
    from galago._core.printable import printable
    from galago.cli._console import Table, say

    table = Table(title=printable(f"{report.name} ({report.precision}) against {report.against}"))
    for heading in ("file", "engine", "photo"):
        table.add_column(heading, whole=True)
    for heading in ("error", "labels", "inside"):
        table.add_column(heading, right=True, whole=True)
    for file in report.files:
        for check in file.checks:
            difference = check.difference
            error = "-" if difference.relative_error is None else f"{difference.relative_error:.1e}"
            inside = "-" if difference.inside is None else f"{difference.inside:.3%}"
            style = "red" if check.failures else ""
            table.add_row(
                file.file,
                file.engine,
                check.image,
                error,
                f"{difference.labels:.3%}",
                inside,
                style=style,
            )
    if any(file.checks for file in report.files):
        table.show(err=to_stderr)
    lines = [(f"model.json: {failure}", "red") for failure in report.description]
    lines += [
        (f"{file.file} in {file.engine}: {failure}", "red")
        for file in report.files
        for failure in file.failures
    ]
    lines += [(f"Not checked: {text}", "yellow") for text in report.skipped]
    if report.scores:
        lines.append((f"mean IoU of the trained network {report.scores.mean_iou:.4f}", ""))
        lines += [(f"  {score_line(file, report)}", "") for file in report.files if file.scores]
    bounds = report.tolerance
    limits = (
        f"{report.precision}: logits within {bounds.relative_error:.0e}, {bounds.labels:.2%} of "
        "labels equal"
    )
    lines.append(
        (f"Verified, {limits}.", "green") if report.ok else (f"Failed, {limits}.", "bold red")
    )
    for line, style in lines:
        say(line, err=to_stderr, style=style)


def score_line(file: "FileReport", report: "Report") -> str:
    """Say how a file scores, and the trained network in its place where that has another score than
    in the first file's.
    """
    assert file.scores
    assert file.expected
    assert report.scores
    line = f"{file.file} in {file.engine}: {file.scores.mean_iou:.4f}"
    if file.expected.mean_iou == report.scores.mean_iou or not file.fixed_size:
        return line
    height, width = file.fixed_size
    return f"{line} (takes {height} x {width} only; so does the trained network for it: {file.expected.mean_iou:.4f})"
