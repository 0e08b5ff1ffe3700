"""galago bench: measure a model on this device, and choose how to run it."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galago.cli._options import JSON_HELP

if TYPE_CHECKING:
    from galago.benchmarking.measure import RunConfig, Timing
    from galago.benchmarking.plan import Plan
    from galago.benchmarking.report import Report
    from galago.cli._console import Table
    from galago.runtime.segmenter import Segmenter

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
ENGINE_HELP = "Engine; several with commas, or given several times (default: all installed ones)."
IMGSZ_HELP = (
    "Size that the network sees; one number means a square. Can be given several times. Without "
    "--data and --budget photos of this size are measured."
)
SOURCE_HELP = "Photo, resized to each size (default: a synthetic street scene)."
DATA_HELP = "Labeled photos, folder or YAML file, to measure the mean IoU, too."
SPLIT_HELP = "Split of the data set: train, val or test (default: val)."
MAX_HELP = "Number of images, spread evenly over the split (default: all)."
BUDGET_HELP = (
    "Time per photo, for example 30ms, 0.03s or 30fps: writes the best configuration within it to "
    "profile.json."
)
THREADS_HELP = "CPU threads; can be given several times (default: the engine decides)."
PRECISION_HELP = (
    "auto (which is float32), float32, bfloat16 or float16; several with commas, or given several "
    "times."
)
RUNS_HELP = "Timed runs per configuration and size."
WARMUP_HELP = "Warm-up runs before them."


def bench(
    model: Annotated[
        str,
        typer.Argument(
            help="Bundled or published name, model folder or .onnx file.", metavar="MODEL"
        ),
    ] = "b0-camvid",
    engine: Annotated[list[str] | None, typer.Option(help=ENGINE_HELP)] = None,
    imgsz: Annotated[list[str] | None, typer.Option(help=IMGSZ_HELP, metavar="H [W]")] = None,
    source: Annotated[Path | None, typer.Option(help=SOURCE_HELP)] = None,
    data: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    split: Annotated[str | None, typer.Option(help=SPLIT_HELP)] = None,
    max_images: Annotated[int | None, typer.Option(help=MAX_HELP, min=1)] = None,
    budget: Annotated[str | None, typer.Option(help=BUDGET_HELP)] = None,
    threads: Annotated[list[int] | None, typer.Option(help=THREADS_HELP, min=1)] = None,
    precision: Annotated[list[str] | None, typer.Option(help=PRECISION_HELP)] = None,
    runs: Annotated[int, typer.Option(help=RUNS_HELP, min=1)] = 30,
    warmup: Annotated[int, typer.Option(help=WARMUP_HELP, min=0)] = 3,
    out: Annotated[
        Path, typer.Option(help="Folder for bench.json, plots and profile.json.")
    ] = Path("runs/bench"),
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Measure a model on this device: engines x precisions x threads x sizes.

    Each is timed in the network alone and end to end, from decoded photo to label map. With --data
    also the mean IoU of each engine, precision and size, and with --budget which of them to use.
    """
    from galago.benchmarking.measure import list_configs
    from galago.benchmarking.plan import LabeledSource, plan_data, plan_image, read_budget
    from galago.benchmarking.report import Report, TestedModel
    from galago.cli._console import print_json
    from galago.cli._options import read_size
    from galago.errors import ConfigError
    from galago.pretrained.resolve import resolve
    from galago.runtime.model_folder import open_model

    budget_ms = None if budget is None else read_budget(budget)
    if data is None and (split is not None or max_images is not None):
        raise ConfigError(
            "--split and --max-images choose among labeled photos. Name them with --data."
        )
    if data is not None and source is not None:
        raise ConfigError("--data brings its own photos. Leave out --source, or --data.")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file, not a folder. Choose another --out.")
    path = resolve(model)
    tested = TestedModel(model, path, open_model(path))
    engines = choose_engines(engine, tested.opened.files)
    configs = list_configs(engines, threads or [None], choose_precisions(precision))
    segmenters = open_segmenters(model, configs)
    sizes = [read_size(text) for text in imgsz or []]
    first = next(iter(segmenters.values()))
    if data is None:
        plan = plan_image(first, source, sizes, fit=budget is not None)
    else:
        labeled = LabeledSource(data, split or "val", max_images)
        plan = plan_data(first, labeled, sizes, runs=runs)
    timings = list(measure(segmenters, plan, runs=runs, warmup=warmup))
    report = Report(tested, plan, timings, runs=runs, warmup=warmup, budget_ms=budget_ms)
    saved = report.save(out)
    show(report, saved, out, to_stderr=json)
    if json:
        print_json({"out": str(out)} | report.summary())
    report.check_budget()


def choose_precisions(names: list[str] | None) -> list[str]:
    """Return the precisions to measure, each once; a name may be a list with commas.

    Raises:
        ConfigError: a precision is unknown.
    """
    from galago.errors import choose

    table = {name: "float32" if name == "auto" else name for name in PRECISIONS}
    words = [name.strip() for text in names or ["auto"] for name in text.split(",")]
    return list(dict.fromkeys(choose(table, word, "precision") for word in words))


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


def open_segmenters(model: str, configs: "list[RunConfig]") -> "dict[RunConfig, Segmenter]":
    """Load the model once for each configuration."""
    from galago import load

    return {
        config: load(
            model, engine=config.engine, threads=config.threads, precision=config.precision
        )
        for config in configs
    }


def measure(
    segmenters: "dict[RunConfig, Segmenter]", plan: "Plan", *, runs: int, warmup: int
) -> "list[Timing]":
    """Return the timings, and scores if there are labels, of all configurations and sizes.

    A progress bar is on standard error.
    """
    from galago.benchmarking.measure import Round, count_runs, time_in_passes
    from galago.benchmarking.plan import add_scores
    from galago.cli._progress import counting_bar
    from galago.runtime.segmenter import Segmenter

    rounds = []
    for imgsz, images in plan.rounds():
        fitted = {
            config: Segmenter(base.engine, base.spec, imgsz=imgsz)
            for config, base in segmenters.items()
        }
        rounds.append(Round(fitted, images))
    scored = {(config.engine, config.precision) for config in segmenters}
    predictions = len(rounds) * len(scored) * (len(plan.dataset) if plan.dataset else 0)
    total = count_runs(len(rounds), len(segmenters), runs=runs, warmup=warmup)
    with counting_bar("Measuring", total + predictions) as (advance, describe):
        timings = time_in_passes(rounds, runs=runs, warmup=warmup, on_run=advance)
        describe("Scoring" if plan.dataset else "Measuring")
        return [
            timing
            for row, one in zip(timings, rounds, strict=True)
            for timing in add_scores(row, one.segmenters, plan, advance)
        ]


def show(report: "Report", saved: list[Path], out: Path, *, to_stderr: bool) -> None:
    """Print the table, what to use, and where everything is saved."""
    from galago.cli._console import say

    make_table(report).show(err=to_stderr)
    for line in (*report.conclusion(out), f"Saved: {', '.join(str(path) for path in saved)}"):
        say(line, err=to_stderr)


def make_table(report: "Report") -> "Table":
    """Return a table of the configurations by size, the fastest first."""
    from galago.benchmarking.measure import area, format_size
    from galago.benchmarking.report import as_row
    from galago.cli._console import Table

    scored = report.plan.dataset is not None
    fitted = any(timing.imgsz for timing in report.timings)
    reduced = any(timing.config.precision != "float32" for timing in report.timings)
    sizes = (["photo"] if not scored or not fitted else []) + (["fitted into"] if fitted else [])
    table = Table(title=_title(report, scored=scored, reduced=reduced), form="simple")
    for heading in (*sizes, "engine", "precision", "threads"):
        table.add_column(heading, whole=True)
    for heading in ("network", "end to end", "p95", *["changed"] * reduced, *["mIoU"] * scored):
        table.add_column(heading, right=True, whole=True)

    def order(timing: "Timing") -> tuple[int, int, float]:
        return area(timing.size), area(timing.input_size), timing.median_ms

    for timing in sorted(report.timings, key=order):
        row = as_row(timing)
        shown = {"photo": format_size(timing.size), "fitted into": format_size(timing.imgsz)}
        config = timing.config
        cells = [shown[heading] for heading in sizes]
        cells += [config.engine, config.precision, str(config.threads or "auto")]
        end_to_end = row["end_to_end_ms"]
        times_ms = (row["network_ms"]["median"], end_to_end["median"], end_to_end["p95"])
        cells += [f"{value:.1f}" for value in times_ms]
        cells += [f"{timing.labels_changed:.2%}"] * reduced
        cells += [f"{timing.mean_iou:.4f}"] if timing.mean_iou is not None else []
        table.add_row(*cells, style="bold" if timing is report.best else "")
    return table


def _title(report: "Report", *, scored: bool, reduced: bool) -> str:
    """Return the lines above the table."""
    from galago._core.printable import printable
    from galago.benchmarking.measure import format_size

    device = f"{report.made_with['processor']}, {report.made_with['cores']} cores"
    title = f"{printable(report.name)} on {device}; milliseconds"
    title += ", share of labels changed" if reduced else ""
    if scored:
        size = format_size(report.fastest.size)
        title += f"\nend to end: to labels of {size}; mIoU: {printable(report.plan.scored_on)}"
    return title
