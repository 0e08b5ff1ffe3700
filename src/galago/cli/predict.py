"""galago predict: label photos and video."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from galago.cli._options import (
    ENGINE_HELP,
    JSON_HELP,
    MODEL_HELP,
    PRECISION_HELP,
    PROFILE_HELP,
    SIZE_HELP,
    THREADS_HELP,
    Precision,
    open_segmenter,
)

if TYPE_CHECKING:
    from galago.runtime.predict import PredictJob
    from galago.runtime.segmenter import Segmenter

STEPS = ("read", "pre", "infer", "post")  # and "save", where something is saved
SOURCE_HELP = (
    "Photo, folder, glob in quotes, .txt list, - for paths on standard input, video file, index of "
    "a camera, or URL of a stream."
)
CONFIDENCE_HELP = (
    "Of photos, also write the confidence of each pixel: NAME_confidence.png, gray, white for 1."
)
TILE_HELP = (
    "Label photos at their own scale in tiles of N pixels a side; 0 never (default: photos of more "
    "than 25 megapixels, unless the model resizes photos)."
)


def predict(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP, metavar="SOURCE")],
    model: Annotated[str | None, typer.Option(help=MODEL_HELP)] = None,
    out: Annotated[Path, typer.Option(help="Folder for label maps and overlays.")] = Path(
        "runs/predict"
    ),
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "auto",
    threads: Annotated[int | None, typer.Option(help=THREADS_HELP, min=1)] = None,
    precision: Annotated[Precision, typer.Option(help=PRECISION_HELP)] = "auto",
    imgsz: Annotated[str | None, typer.Option(help=SIZE_HELP, metavar="H [W]")] = None,
    profile: Annotated[Path | None, typer.Option(help=PROFILE_HELP)] = None,
    tile: Annotated[int | None, typer.Option(help=TILE_HELP, min=0)] = None,
    overlap: Annotated[
        int | None, typer.Option(help="Pixels that tiles share (default: 128).", min=0)
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Strength of the colors in overlays, 0 to 1.", min=0, max=1)
    ] = 0.5,
    save: Annotated[
        bool, typer.Option(" /--no-save", show_default=False, help="Print only, write no files.")
    ] = True,
    frame_labels: Annotated[
        bool, typer.Option("--frame-labels", help="Of a video, also write each frame's label map.")
    ] = False,
    confidence: Annotated[bool, typer.Option("--confidence", help=CONFIDENCE_HELP)] = False,
    smooth: Annotated[
        float,
        typer.Option(help="Average over frames against flicker: 0 off, 0.6 some, below 1.", min=0),
    ] = 0.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace labels of other images in --out, too.")
    ] = False,
    max_frames: Annotated[int | None, typer.Option(help="Stop after N frames.", min=1)] = None,
    show: Annotated[bool, typer.Option("--show", help="Open a window; q ends.")] = False,
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Label every pixel of photos, an indexed PNG of class ids and an overlay each, or of a video,
    as one overlay video.
    """
    _silence_opencv()
    from galago.cli._console import print_json
    from galago.cli._progress import PhotoBars
    from galago.runtime.predict import PredictConfig, PredictJob
    from galago.runtime.video import Window
    from galago.sources import describe_left_out, left_out

    config = PredictConfig(
        out=out if save else None,
        alpha=alpha,
        frame_labels=frame_labels,
        confidence=confidence,
        overwrite=overwrite,
        smooth=smooth,
        tile=tile,
        overlap=overlap,
        max_frames=max_frames,
    )
    job = PredictJob(source, config)
    with Window() if show else nullcontext() as window:
        segmenter = open_segmenter(
            model,
            engine=engine,
            threads=threads,
            precision=precision,
            imgsz=imgsz,
            profile=profile,
        )
        with PhotoBars(job.total) as bars:
            job.run(segmenter, bars, window)
    _print_report(job, segmenter, err=json)
    skipped = left_out(source)
    _print_notes(job, describe_left_out(skipped))
    if json:
        print_json(
            {"model": segmenter.spec.name, "out": str(out), **summarize(job, left_out=skipped)}
        )
    _raise_failures(job)


def _silence_opencv() -> None:
    """Keep OpenCV and FFmpeg from printing about each damaged block of a video.

    Our own messages say what matters.

    To be called before OpenCV is imported, which reads these settings once.
    """
    import os

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")


def summarize(job: "PredictJob", *, left_out: dict[str, int]) -> dict[str, Any]:
    """Return what `--json` prints about a run.

    Args:
        job: after the run.
        left_out: number of pictures and videos that the source leaves out, by suffix.
    Returns:
        the number of photos or frames, failures, sources, mean areas, the largest first, median
        milliseconds of each step, and frames per second of the whole.
    """
    speed = job.stats.speed()
    summary: dict[str, Any] = {_kind(job): job.stats.count, "failed": job.failed}
    if not job.video:
        summary |= {
            "tiles": job.tile_labeler.records if job.tile_labeler else {},
            "sources": job.outputs.saved if job.outputs else {},
            "left_out": left_out,
        }
    summary |= {
        "areas": job.stats.areas(),
        "speed": {step: speed[step] for step in STEPS if step in speed},
    }
    if "save" in speed:
        summary["save_ms"] = speed["save"]
    fps = round(job.stats.count / job.seconds, 2) if job.seconds else 0.0
    return summary | {"frames_per_second": fps}


def _print_report(job: "PredictJob", segmenter: "Segmenter", *, err: bool) -> None:
    """Print the areas as a table with the classes' colors, then the times and what was saved."""
    from galago.cli._console import Table, say

    count, kind = job.stats.count, _kind(job)
    if not count:
        return
    spec = segmenter.spec
    colors = dict(zip(spec.classes, spec.palette, strict=True))
    say("area" if count == 1 else f"mean area over {count} {kind}", err=err, style="italic")
    table = Table()
    table.add_column("")
    table.add_column("class")
    table.add_column("share", right=True)
    for name, share in job.stats.areas().items():
        table.add_row(colors[name], name, f"{share:.2%}")
    table.show(err=err)
    speed = job.stats.speed()
    steps = "  ".join(f"{step} {time_ms:.1f}" for step, time_ms in speed.items())
    times = f"{'ms' if count == 1 else 'median ms each'}: {steps}  total {sum(speed.values()):.1f}"
    say(f"{times}  (engine: {segmenter.engine.name})", err=err)
    if count > 1:
        say(
            f"whole: {count} {kind} in {job.seconds:.1f} s, {count / job.seconds:.1f} per second",
            err=err,
        )
    if job.video_file:
        say(f"Saved: {job.video_file.path}", err=err)
    elif job.outputs:
        more = " and confidence (_confidence.png)" if job.config.confidence else ""
        files = f"{count} label maps (.png) and overlays (_overlay.jpg){more}"
        say(f"Saved: {files} in {job.outputs.folder}", err=err)
    for line in job.outputs.remarks(video=job.video is not None) if job.outputs else ():
        say(line, err=err)


def _print_notes(job: "PredictJob", left_out: str | None) -> None:
    """Print what the source left out, and what is odd about images that were labeled."""
    from galago.cli._console import say

    lines = [left_out] if left_out else []
    lines += [f"{origin} {note}" for origin, note in list(job.notes.items())[:1]]
    if len(job.notes) > 1:
        lines.append(f"The same holds for {len(job.notes) - 1} more of {job.stats.count} photos.")
    if job.video_file and job.video_file.left_out_s:
        lines.append(
            "Pauses of more than 10 minutes were shortened, by "
            f"{job.video_file.left_out_s:.0f} seconds in all."
        )
    for line in lines:
        say(f"Note: {line}", err=True)


def _raise_failures(job: "PredictJob") -> None:
    """Report at the end what failed.

    Raises:
        ImageError: a frame could not be read, labeled or saved.
    """
    from galago.errors import ImageError

    total = job.stats.count + len(job.failed)
    if job.failed and (job.video or total == 1):
        raise ImageError(*job.failed.values())
    if job.failed:
        reasons = "\n".join(f"  {reason}" for reason in job.failed.values())
        raise ImageError(f"{len(job.failed)} of {total} photos failed:\n{reasons}")


def _kind(job: "PredictJob") -> str:
    return "frames" if job.video else "photos"
