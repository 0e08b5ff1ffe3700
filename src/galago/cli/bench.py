"""galago bench: measure a model on this device, and choose how to run it."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from galago.benchmarking.measure import RunConfig, Timing
    from galago.benchmarking.plan import Plan
    from galago.benchmarking.report import Report
    from galago.cli._console import Table
    from galago.runtime.segmenter import Segmenter

IMGSZ_HELP = "Height and width, one number for a square: of the photo or, with --data, that photos are fitted into. Repeat it."
SOURCE_HELP = "Photo, resized to each size; a drawn street scene without it."
DATA_HELP = "Labeled photos, folder or YAML file, to measure the mean IoU, too."
BUDGET_HELP = (
    "Time for a photo, as 30ms, 0.03s or 30fps: writes the best setting within it to setting.json."
)


def bench(
    model: Annotated[
        str, typer.Option(help="Bundled name, model folder or .onnx file.")
    ] = "b0-camvid",
    engine: Annotated[
        list[str] | None,
        typer.Option(help="Engine; repeat it for several. All installed ones without it."),
    ] = None,
    imgsz: Annotated[list[str] | None, typer.Option(help=IMGSZ_HELP, metavar="H [W]")] = None,
    source: Annotated[Path | None, typer.Option(help=SOURCE_HELP)] = None,
    data: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    split: Annotated[
        str | None, typer.Option(help="Part of the data set: train, val or test; val without it.")
    ] = None,
    photos: Annotated[
        int | None,
        typer.Option(help="So many photos, spread over the split; all without it.", min=1),
    ] = None,
    budget: Annotated[str | None, typer.Option(help=BUDGET_HELP)] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="CPU threads; repeat it for several.", min=1)
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Measure bfloat16, too, where the CPU has it.")
    ] = False,
    runs: Annotated[int, typer.Option(help="Measured runs of each way and size.", min=1)] = 30,
    warmup: Annotated[int, typer.Option(help="Runs before, which do not count.", min=0)] = 3,
    out: Annotated[
        Path, typer.Option(help="Folder for bench.json, plots and setting.json.")
    ] = Path("runs/bench"),
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line.")
    ] = False,
) -> None:
    """Measure a model on this device: engines x precisions x threads x sizes, the network alone and
    the whole way.

    With --data also the mean IoU of each engine, precision and size, and with --budget which of
    them to use.
    """
    from galago.benchmarking.measure import list_configs
    from galago.benchmarking.plan import plan_data, plan_photo, read_budget
    from galago.benchmarking.report import Report, TestedModel
    from galago.cli._console import print_json
    from galago.cli._sizes import read_size
    from galago.errors import ConfigError
    from galago.pretrained.resolve import resolve
    from galago.runtime.model_folder import open_model

    budget_ms = None if budget is None else read_budget(budget)
    if data is None and (split is not None or photos is not None):
        raise ConfigError(
            "--split and --photos choose among labeled photos. Name them with --data."
        )
    if data is not None and source is not None:
        raise ConfigError("--data brings its own photos. Leave out --source, or --data.")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file, not a folder. Choose another --out.")
    path = resolve(model)
    tested = TestedModel(model, path, open_model(path))
    ways = list_configs(choose_engines(engine, tested.opened.files), threads or [None], half=half)
    segmenters = open_segmenters(model, ways)
    sizes = [read_size(text) for text in imgsz or []]
    first = next(iter(segmenters.values()))
    if data is None:
        plan = plan_photo(first, source, sizes, fit=budget is not None)
    else:
        plan = plan_data(first, (data, split or "val", photos), sizes, most=runs)
    timings = list(measure(segmenters, plan, runs=runs, warmup=warmup))
    report = Report(tested, plan, timings, runs=runs, warmup=warmup, budget_ms=budget_ms)
    saved = report.save(out)
    show(report, saved, out, to_stderr=json)
    if json:
        print_json({"out": str(out)} | report.summary())
    report.check_budget()


def choose_engines(names: list[str] | None, files: Collection[str]) -> list[str]:
    """Return the engines to measure, each once; a name may be a list with commas.

    Raises:
        ConfigError: an engine is unknown.
        MissingDependencyError: an engine is not installed, or none is.
        ModelError: the model, whose files these are, has none for an engine.
    """
    from galago.runtime.engines.table import choose_engine, installed_engines

    if not names:
        choose_engine("auto", files)  # complains if there is none
        return installed_engines(files)
    return list(
        dict.fromkeys(
            choose_engine(name.strip(), files) for text in names for name in text.split(",")
        )
    )


def open_segmenters(model: str, ways: "list[RunConfig]") -> "dict[RunConfig, Segmenter]":
    """Load the model once for each way."""
    from galago import load

    return {
        way: load(model, engine=way.engine, threads=way.threads, half=way.precision == "bfloat16")
        for way in ways
    }


def measure(
    segmenters: "dict[RunConfig, Segmenter]", plan: "Plan", *, runs: int, warmup: int
) -> "list[Timing]":
    """Measure all ways at each size of a plan and score them, with a progress bar on standard
    error.
    """
    from galago.benchmarking.measure import count_runs, time_in_passes
    from galago.benchmarking.plan import add_scores
    from galago.cli._progress import counting_bar
    from galago.runtime.segmenter import Segmenter

    rounds = [
        (
            {
                way: Segmenter(base.engine, base.spec, imgsz=imgsz)
                for way, base in segmenters.items()
            },
            photos,
        )
        for imgsz, photos in plan.rounds()
    ]
    scored = len({(way.engine, way.precision) for way in segmenters}) * (
        len(plan.dataset) if plan.dataset else 0
    )
    total = count_runs(len(rounds), len(segmenters), runs=runs, warmup=warmup)
    with counting_bar("Measuring", total + len(rounds) * scored) as (advance, describe):
        timings = time_in_passes(rounds, runs=runs, warmup=warmup, on_run=advance)
        describe("Scoring" if plan.dataset else "Measuring")
        pairs = zip(timings, rounds, strict=True)
        return [
            timing
            for row, (fitted, _) in pairs
            for timing in add_scores(row, fitted, plan, advance)
        ]


def show(report: "Report", saved: list[Path], out: Path, *, to_stderr: bool) -> None:
    """Print the table, what to use, and where it all lies."""
    from galago.cli._console import say

    make_table(report).show(err=to_stderr)
    for line in (*report.conclusion(out), f"Saved: {', '.join(str(path) for path in saved)}"):
        say(line, err=to_stderr)


def make_table(report: "Report") -> "Table":
    """Return a table of the ways by size, the fastest first."""
    from galago._core.printable import printable
    from galago.benchmarking.measure import area, format_size
    from galago.benchmarking.report import as_row
    from galago.cli._console import Table

    scored, fitted = report.plan.dataset is not None, any(timing.imgsz for timing in report.timings)
    halves = any(timing.way.precision != "float32" for timing in report.timings)
    title = f"{printable(report.name)} on {report.made_with['processor']}, {report.made_with['cores']} cores; milliseconds"
    title += (
        ", share of labels changed" * halves
        + f"\nwhole way: to labels of {format_size(report.fastest.size)}; mIoU: {printable(report.plan.scored_on)}"
        * scored
    )
    table = Table(title=title, form="simple")
    sizes = (["photo"] if not scored else []) + (["fitted into"] if fitted else [])
    for heading in (*(sizes or ["photo"]), "engine", "precision", "threads"):
        table.add_column(heading, whole=True)
    for heading in ("network", "whole way", "p95", *(["changed"] * halves), *(["mIoU"] * scored)):
        table.add_column(heading, right=True, whole=True)
    for timing in sorted(
        report.timings,
        key=lambda timing: (area(timing.size), area(timing.input_size), timing.median_ms),
    ):
        row, way = as_row(timing), timing.way
        shown = {"photo": format_size(timing.size), "fitted into": format_size(timing.imgsz)}
        names = [
            *(shown[heading] for heading in sizes or ["photo"]),
            way.engine,
            way.precision,
            str(way.threads or "auto"),
        ]
        times = (
            row["network"]["median_ms"],
            row["whole_way"]["median_ms"],
            row["whole_way"]["p95_ms"],
        )
        figures = [
            *(f"{value:.1f}" for value in times),
            *([f"{timing.labels_changed:.2%}"] * halves),
        ]
        score = [f"{timing.mean_iou:.4f}"] if timing.mean_iou is not None else []
        table.add_row(*names, *figures, *score, style="bold" if timing is report.best else "")
    return table
