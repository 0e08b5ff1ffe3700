"""galago predict: label photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from galago.sources import Frame

STEPS = ("read", "pre", "infer", "post")


def predict(
    source: Annotated[str, typer.Option(help="Photo, folder, glob in quotes, .txt list, or - for paths on standard input.")],
    model: Annotated[str, typer.Option(help="Bundled name, model folder or .onnx file.")] = "b0-camvid",
    out: Annotated[Path, typer.Option(help="Folder for label maps and overlays.")] = Path("runs/predict"),
    engine: Annotated[str, typer.Option(help="What runs the network.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads; the engine decides itself without this.", min=1)] = None,
    half: Annotated[bool, typer.Option("--half", help="Run in half precision.")] = False,
    alpha: Annotated[float, typer.Option(help="Strength of the colors in overlays, 0 to 1.", min=0, max=1)] = 0.5,
    save: Annotated[bool, typer.Option(help="Write files, or only print.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Label every pixel of photos: an indexed PNG of class ids and an overlay each."""
    from rich.console import Console
    from rich.progress import track

    from galago import load, sources
    from galago.errors import ImageError

    console = Console(stderr=json)
    frames = sources.open_source(source)
    if save:
        check_photos_stay(frames, out)
    segmenter = load(model, engine=engine, threads=threads, half=half)
    done: list[dict[str, dict[str, float]]] = []
    failed: dict[str, str] = {}
    for frame in track(frames, description="Labeling", console=Console(stderr=True), transient=True, disable=len(frames) == 1):
        try:
            result = segmenter(frame.path)
        except ImageError as error:  # the rest of a folder is still wanted
            failed[str(frame.path)] = str(error)
            continue
        if save:
            result.save(out, frame.name, alpha=alpha)
        done.append({"areas": result.areas(), "speed": dict(result.speed)})
    if done:
        show(console, done, dict(zip(segmenter.spec.classes, segmenter.spec.palette, strict=True)))
    if save and done:
        saved = f"Saved: {len(done)} label maps (.png) and overlays (_overlay.jpg) in {out}"
        console.print(saved, soft_wrap=True, highlight=False, markup=False)
    if json:
        from json import dumps

        counts = {"model": segmenter.spec.name, "out": str(out), "photos": len(done), "failed": failed}
        typer.echo(dumps(counts | summarize(done)))
    if failed and len(frames) == 1:
        raise ImageError(*failed.values())
    if failed:
        reasons = "\n".join(f"  {reason}" for reason in failed.values())
        raise ImageError(f"{len(failed)} of {len(frames)} photos failed:\n{reasons}")


def check_photos_stay(frames: "list[Frame]", out: Path) -> None:
    """Refuse to write over one of the photos.

    Raises:
        ConfigError: a label map or an overlay would have the path of a photo.
    """
    from galago.errors import ConfigError
    from galago.runtime.result import written_files

    photos = {frame.path.resolve() for frame in frames}
    for frame in frames:
        for file in written_files(out, frame.name):
            if file.resolve() in photos:
                raise ConfigError(f"The labels of {frame.path} would replace the photo {file}. Choose another --out.")


def summarize(done: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean share of each class, the largest first, and the median milliseconds of each step."""
    from statistics import median

    if not done:
        return {"areas": {}, "speed": {}}
    names = {name for row in done for name in row["areas"]}
    areas = {name: sum(row["areas"].get(name, 0.0) for row in done) / len(done) for name in names}
    speed = {step: median(row["speed"][step] for row in done) for step in STEPS}
    return {"areas": dict(sorted(areas.items(), key=lambda item: -item[1])), "speed": speed}


def show(console: "Console", done: list[dict[str, dict[str, float]]], colors: dict[str, tuple[int, int, int]]) -> None:
    """Print the areas as a table with the classes' colors, then the times."""
    from rich.table import Table
    from rich.text import Text

    summary = summarize(done)
    table = Table("", "class", title="area" if len(done) == 1 else f"mean area over {len(done)} photos", title_justify="left")
    table.add_column("share", justify="right")
    for name, share in summary["areas"].items():
        red, green, blue = colors[name]
        table.add_row(f"[on rgb({red},{green},{blue})]  [/]", Text(name), f"{share:.2%}")
    console.print(table)
    times = "  ".join(f"{step} {summary['speed'][step]:.1f}" for step in STEPS)
    total = sum(summary["speed"].values())
    console.print(f"{'ms' if len(done) == 1 else 'median ms a photo'}: {times}  total {total:.1f}", highlight=False)
