"""galago bench: measure a model on this device."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from galago.runtime.bench import Setting, Timing
    from galago.runtime.segmenter import Segmenter

SIZES = ((360, 480), (512, 1024), (1024, 2048))
PACKAGES = ("galago", "numpy", "opencv-python-headless", "openvino", "onnxruntime", "ncnn", "ai-edge-litert")


def bench(
    model: Annotated[str, typer.Option(help="Bundled name, model folder or .onnx file.")] = "b0-camvid",
    engine: Annotated[
        list[str] | None, typer.Option(help="Engine; repeat it for several. All installed ones without it.")
    ] = None,
    imgsz: Annotated[
        list[str] | None, typer.Option(help="Size of the photo as HEIGHTxWIDTH, 512x1024; repeat it for several.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="Photo, resized to each size; a drawn street scene without it.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="CPU threads; repeat it for several.", min=1)] = None,
    half: Annotated[bool, typer.Option("--half", help="Measure bfloat16, too, where the CPU has it.")] = False,
    runs: Annotated[int, typer.Option(help="Measured runs of each setting.", min=1)] = 30,
    warmup: Annotated[int, typer.Option(help="Runs before, which do not count.", min=0)] = 3,
    out: Annotated[Path, typer.Option(help="Folder for bench.json and bench.png.")] = Path("runs/bench"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Measure a model on this device: engines x precisions x threads x sizes, the network alone and the whole way."""
    from json import dumps

    from galago.device import describe_run, peak_memory_mb
    from galago.files import write_whole
    from galago.runtime.bench import settings
    from galago.runtime.folder import open_model

    opened = open_model(model)
    chosen = settings(choose_engines(engine, opened.files), threads or [None], half=half)
    sizes = [read_size(text) for text in imgsz] if imgsz else [opened.spec.input_size] if opened.spec.input_size else list(SIZES)
    timings = list(measure(open_segmenters(model, chosen), photos(source, sizes), len(sizes), (runs, warmup)))
    rows = [as_row(timing) for timing in timings]
    report = {
        "model": opened.spec.name,
        "model_sha256": sha256(opened.file),
        "photo": str(source) if source else "drawn scene 0",
        "runs": runs,
        "warmup": warmup,
        "rows": rows,
        "fastest": {"size": max(sizes, key=area), "command": fastest(model, timings)},
        "peak_memory_mb": peak_memory_mb(),
        "made_with": describe_run(PACKAGES),
    }
    write_whole(out / "bench.json", (dumps(report, indent=2) + "\n").encode())
    saved = [out / "bench.json"]
    if draw(timings, opened.spec.name, out / "bench.png"):
        saved.append(out / "bench.png")
    show(rows, report, saved, to_stderr=json)
    if json:
        typer.echo(dumps({"out": str(out)} | report))


def choose_engines(names: list[str] | None, files: Collection[str]) -> list[str]:
    """Return the engines to measure, each once; a name may be a list with commas.

    Raises:
        ConfigError: an engine is unknown.
        MissingDependencyError: an engine is not installed, or none is.
        ModelError: the model, whose files these are, has none for an engine.
    """
    from galago.runtime.engines import choose_engine, installed_engines

    if not names:
        choose_engine("auto", files)  # complains if there is none
        return installed_engines(files)
    return list(dict.fromkeys(choose_engine(name.strip(), files) for text in names for name in text.split(",")))


def read_size(text: str) -> tuple[int, int]:
    """Read (height, width) from HEIGHTxWIDTH, or from one number for a square.

    Raises:
        ConfigError: the text has another form, or a side is not positive.
    """
    from galago.errors import ConfigError

    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and int(side) > 0 for side in sides):
        raise ConfigError(f"Expected a size in pixels as HEIGHTxWIDTH, for example 512x1024, got {text!r}.")
    return int(sides[0]), int(sides[-1])


def open_segmenters(model: str, chosen: "list[Setting]") -> "dict[Setting, Segmenter]":
    """Load the model once for each setting."""
    from galago import load

    return {
        setting: load(model, engine=setting.engine, threads=setting.threads, half=setting.precision == "bfloat16")
        for setting in chosen
    }


def photos(source: Path | None, sizes: list[tuple[int, int]]) -> "Iterator[np.ndarray]":
    """Yield a photo of each size, (H, W, 3) uint8 RGB."""
    from galago import image as images
    from galago.data.scenes import draw_scene

    photo = images.load(source) if source else None
    for size in sizes:
        yield draw_scene(0, size).image if photo is None else images.resize(photo, size)


def measure(
    segmenters: "dict[Setting, Segmenter]", inputs: "Iterator[np.ndarray]", count: int, turns: tuple[int, int]
) -> "Iterator[Timing]":
    """Measure all settings on each of `count` photos, with a progress bar on standard error.

    Args:
        segmenters: one per setting.
        inputs: photos.
        count: number of photos.
        turns: measured runs, and runs for warm-up.
    """
    from rich.console import Console
    from rich.progress import Progress

    from galago.runtime.bench import take_turns

    runs, warmup = turns
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Measuring", total=count * len(segmenters) * (runs + warmup))
        for photo in inputs:
            yield from take_turns(segmenters, photo, runs=runs, warmup=warmup, on_run=lambda: progress.advance(task))


def as_row(timing: "Timing") -> dict[str, Any]:
    """Turn a timing into what stands in bench.json."""
    from galago.device import version
    from galago.runtime.bench import summarize
    from galago.runtime.engines import ENGINES

    setting = timing.setting
    return {
        "engine": setting.engine,
        "engine_version": version(ENGINES[setting.engine].distribution),
        "precision": setting.precision,
        "threads": setting.threads,
        "size": timing.size,
        "network": summarize(timing.network),
        "whole_way": summarize(timing.whole_way),
        "labels_changed": round(timing.labels_changed, 6),
    }


def sha256(file: Path) -> str:
    """Return a file's SHA-256."""
    from hashlib import file_digest

    with file.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()


def area(size: tuple[int, int]) -> int:
    """Return the pixels of a size."""
    return size[0] * size[1]


def fastest(model: str, timings: "list[Timing]") -> str:
    """Return the `galago predict` command in the setting that takes the least time for the largest photo."""
    from shlex import quote
    from statistics import median

    largest = max(area(timing.size) for timing in timings)
    best = min((row for row in timings if area(row.size) == largest), key=lambda row: median(row.whole_way)).setting
    threads = f" --threads {best.threads}" if best.threads else ""
    half = " --half" if best.precision == "bfloat16" else ""
    return f"galago predict --model {quote(model)} --engine {best.engine}{threads}{half} --source PHOTO"


def draw(timings: "list[Timing]", name: str, path: Path) -> bool:
    """Draw whole-way latency against pixels, both logarithmic, a line per setting with its slope; False without matplotlib."""
    from importlib.util import find_spec
    from io import BytesIO
    from statistics import median

    from galago.files import write_whole
    from galago.runtime.bench import slope

    if not find_spec("matplotlib"):
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", yscale="log", xlabel="photo, megapixels", ylabel="decoded photo to label map, ms", title=name
    )
    for setting in dict.fromkeys(timing.setting for timing in timings):
        rows = sorted((row for row in timings if row.setting == setting), key=lambda row: area(row.size))
        megapixels, times_ms = [area(row.size) / 1e6 for row in rows], [median(row.whole_way) for row in rows]
        exponent = slope(megapixels, times_ms)
        label = label_of(setting) + ("" if exponent is None else f", slope {exponent:.2f}")
        axes.plot(megapixels, times_ms, marker="o", label=label)
    axes.xaxis.set_minor_formatter("")
    axes.set_xticks(ticks := sorted({area(timing.size) / 1e6 for timing in timings}), [f"{tick:.2g}" for tick in ticks])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_whole(path, picture.getvalue())
    return True


def label_of(setting: "Setting") -> str:
    """Name a setting in a few words."""
    threads = f", {setting.threads} thread{'s' * (setting.threads > 1)}" if setting.threads else ""
    return f"{setting.engine} {setting.precision}{threads}"


def show(rows: list[dict[str, Any]], report: dict[str, Any], saved: list[Path], *, to_stderr: bool) -> None:
    """Print the settings by size, the fastest first, then the fastest as a command."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    made, halves = report["made_with"], any(row["precision"] != "float32" for row in rows)
    title = f"{report['model']} on {made['processor']}, {made['cores']} cores; milliseconds{', share of labels changed' * halves}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, collapse_padding=True, pad_edge=False)
    for heading in ("photo", "engine", "precision", "threads"):
        table.add_column(heading, no_wrap=True)
    for heading in ("network", "whole way", "p95", *(["changed"] * halves)):
        table.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda row: (area(row["size"]), row["whole_way"]["median_ms"])):
        height, width = row["size"]
        names = (f"{height}x{width}", row["engine"], row["precision"], str(row["threads"] or "auto"))
        times = (row["network"]["median_ms"], row["whole_way"]["median_ms"], row["whole_way"]["p95_ms"])
        changed = [f"{row['labels_changed']:.2%}"] * halves
        table.add_row(*names, *(f"{value:.1f}" for value in times), *changed)
    console = Console(stderr=to_stderr)
    console.print(table)
    height, width = report["fastest"]["size"]
    for line in (
        f"Fastest at {height}x{width}: {report['fastest']['command']}",
        f"Saved: {', '.join(str(path) for path in saved)}",
    ):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
