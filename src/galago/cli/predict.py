"""galago predict: label photos and video."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

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
from galago.cli.tiles import LargePhoto, TileJob, check_flags, plan

if TYPE_CHECKING:
    from galago.cli._outputs import Outputs
    from galago.cli._progress import PhotoBars
    from galago.runtime.result import Segmentation
    from galago.runtime.segmenter import Segmenter
    from galago.runtime.smoothing import Smoother
    from galago.runtime.tally import RunningStats
    from galago.runtime.tiling.stream import TiledSegmentation
    from galago.runtime.video import VideoFile, Window
    from galago.sources import Frame, ReadFrame, Video

STEPS = ("read", "pre", "infer", "post")  # and "save", where something is saved
SOURCE_HELP = "Photo, folder, glob in quotes, .txt list, - for paths on standard input, video file, index of a camera, or URL of a stream."
CONFIDENCE_HELP = "Of photos, also write how likely each pixel's class is: NAME_confidence.png, gray, white for sure."
TILE_HELP = (
    "Label photos at their own scale in tiles of so many pixels along each side; 0 never. Without "
    "it photos of more than 25 "
    "megapixels are, unless the model resizes photos."
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
    silence_opencv()
    from galago import sources
    from galago.cli._console import print_json
    from galago.cli._outputs import Outputs, frame_files, list_claims
    from galago.runtime.smoothing import Smoother
    from galago.runtime.video import VideoFile, Window

    opened = sources.open_source(source)
    video = opened if isinstance(opened, sources.Video) else None
    check_flags(tile, overlap, video=video is not None, smooth=smooth, confidence=confidence)
    if save and isinstance(opened, list):
        check_photos_stay(opened, out)
    target = out / f"{video.name}_overlay.mp4" if video and save else None
    smoother = Smoother(smooth) if smooth else None
    outputs = Outputs(out, overwrite) if save else None
    if video and target:
        check_video_stays(video, target)
    if outputs:
        outputs.claim(list_claims(opened, out, target, labels=frame_labels, confidence=confidence))
    with ExitStack() as stack:
        window = stack.enter_context(Window()) if show else None
        segmenter = open_segmenter(
            model,
            engine=engine,
            threads=threads,
            precision=precision,
            imgsz=imgsz,
            profile=profile,
        )
        file = (
            stack.enter_context(VideoFile(target, video.size, rate=video.rate))
            if video and target
            else None
        )
        store = (
            choose_store(file, out, labels=frame_labels, alpha=alpha, confidence=confidence)
            if save
            else None
        )
        tiles = plan(segmenter, tile, overlap, out=out if save else None, alpha=alpha)
        job = Job(
            "frames" if video else "photos",
            segmenter,
            smoother,
            store,
            window,
            tiles,
            confidence and save,
            outputs,
        )
        job.run(opened, limit=max_frames)
    if outputs:
        if file and video:
            outputs.add(
                video.path or video.name,
                [file.path, *(frame_files(out, video.name) if frame_labels else ())],
            )
        outputs.save()
    report(job, file, out, err=json)
    left_out = sources.left_out(source)
    report_oddities(job, sources.describe_left_out(left_out), file)
    if json:
        counts = {
            "model": segmenter.spec.name,
            "out": str(out),
            job.kind: job.tally.count,
            "failed": job.failed,
        }
        if not video:
            counts |= {"tiles": tiles.told, "sources": job.saved, "left_out": left_out}
        print_json(counts | summarize(job))
    raise_failures(job)


Store = Callable[
    ["ReadFrame | LargePhoto", "Segmentation"], None
]  # the frame tells the name for its files, and its time
Labeled: TypeAlias = "tuple[ReadFrame | LargePhoto, Segmentation | TiledSegmentation]"


def choose_store(
    file: "VideoFile | None", out: Path, *, labels: bool, alpha: float, confidence: bool = False
) -> Store:
    """Return what saves one labeled frame: as files of its own, or as part of a video.

    Args:
        file: the video, if there is one.
        out: folder for files.
        labels: whether the label map of a video's frame is saved too.
        alpha: strength of the colors, 0 to 1.
        confidence: whether that of a photo is saved beside its labels.
    """
    from galago import image as images
    from galago.cli._outputs import photo_files
    from galago.errors import ImageError

    def store_photo(frame: "ReadFrame | LargePhoto", result: "Segmentation") -> None:
        try:
            result.save(out, frame.name, alpha=alpha)
            if confidence:
                result.save_confidence(out, frame.name)
        except ImageError:  # all files of a photo or none
            for file in photo_files(out, frame.name, confidence=confidence):
                with suppress(OSError):  # as the name that is too long, or a folder in the way
                    file.unlink()
            raise

    def store_frame(frame: "ReadFrame | LargePhoto", result: "Segmentation") -> None:
        assert file is not None
        file.write(result.overlay(alpha, legend=False), time_s=frame.time_s)
        if labels:
            images.save_labels(out / f"{frame.name}.png", result.labels, result.palette)

    return store_frame if file else store_photo


def new_tally() -> "RunningStats":
    """Return an empty tally."""
    from galago.runtime.tally import RunningStats

    return RunningStats()


@dataclass(eq=False)
class Job:
    """What happens to each frame, and what is told about all of them.

    Attributes:
        kind: `photos`, or the `frames` of a film.
        segmenter: labels a frame.
        smoother: averages over frames, if wanted.
        store: saves a frame, if wanted.
        window: shows a frame, if wanted.
        tiles: labels photos that are too large to be labeled at once.
        confidence: whether the store saves it.
        outputs: keeps which file came from which photo, where something is saved.
        tally: areas and times.
        failed: what could not be read, labeled or saved, and why.
        saved: the photo that each label map came from, by the label map's name.
        renamed: the label maps of photos whose own name was taken, and these photos.
        notes: what is odd about images that were labeled.
        seconds: from the first frame read to the last one written.
    """

    kind: str
    segmenter: "Segmenter"
    smoother: "Smoother | None"
    store: Store | None
    window: "Window | None"
    tiles: TileJob
    confidence: bool = False
    outputs: "Outputs | None" = None
    tally: "RunningStats" = field(default_factory=new_tally)
    failed: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def run(self, opened: "list[Frame] | Video", *, limit: int | None) -> None:
        """Read, label and write all frames; Ctrl-C is how a camera or a stream ends."""
        from time import perf_counter

        from galago.cli._progress import PhotoBars
        from galago.runtime.pipeline import run_pipeline
        from galago.sources import Video, read_frames

        frames: Iterable[ReadFrame | LargePhoto]
        frames = (
            read_frames(opened, limit=limit)
            if isinstance(opened, Video)
            else self.tiles.read(opened, limit)
        )
        live = isinstance(opened, Video) and opened.live
        known = opened.length if isinstance(opened, Video) else len(opened)
        total = min(known, limit) if known and limit else known or limit
        start = perf_counter()
        with PhotoBars(total) as bars:

            def label(frame: "ReadFrame | LargePhoto") -> "Labeled | None":
                bars.advance()
                return self.label(frame, bars)

            try:
                run_pipeline(frames, label, self.write, finish=live)
            except KeyboardInterrupt:
                if not live:
                    self.keep_index()
                    raise
            except BaseException:
                self.keep_index()
                raise
        self.seconds = perf_counter() - start

    def label(self, frame: "ReadFrame | LargePhoto", bars: "PhotoBars") -> "Labeled | None":
        """Label a frame, in the caller's thread.

        None where it failed. A photo in tiles is saved as well.
        """
        from galago._core.write_errors import stops_all
        from galago.errors import ImageError

        result: Segmentation | TiledSegmentation
        try:
            if isinstance(frame, LargePhoto):
                if self.confidence:
                    raise ImageError(
                        f"{frame.origin} is labeled in tiles, without --confidence. Leave that "
                        "out, or add --tile 0."
                    )
                result = self.tiles.label(frame, bars)
            elif isinstance(frame.image, ImageError):
                raise frame.image
            else:
                result = self.segmenter(
                    frame.image, smoother=self.smoother, confidence=self.confidence
                )
        except ImageError as error:  # the rest of a folder is still wanted
            if isinstance(frame, LargePhoto) and stops_all(
                error
            ):  # it is saved while it is labeled
                raise
            self.failed[frame.origin] = str(error)
            return None
        if self.window and not self.window.show(result.overlay(legend=False)):
            raise KeyboardInterrupt
        return frame, result

    def write(self, labeled: "Labeled") -> None:
        """Save a frame and count it, in the writing thread.

        Raises:
            ImageError: nothing more can be written, or a frame of a film cannot; a photo that
                cannot be written fails alone.
        """
        from time import perf_counter

        from galago._core.write_errors import stops_all
        from galago.errors import ImageError
        from galago.runtime.tiling.stream import TiledSegmentation

        frame, result = labeled
        if note := frame.note or (result.note if isinstance(result, TiledSegmentation) else None):
            self.notes[frame.origin] = note
        if isinstance(result, TiledSegmentation):  # which was saved while it was labeled
            self.tally.add(result.areas(), result.speed)
            self.keep_source(frame)
            return
        speed = {**result.speed, "read": frame.read_ms}
        if self.store:
            start = perf_counter()
            try:
                self.store(frame, result)
            except ImageError as error:
                if self.kind == "frames" or stops_all(error):
                    raise
                self.failed[frame.origin] = str(error)
                return
            self.keep_source(frame)
            speed["save"] = 1000 * (perf_counter() - start)
        self.tally.add(result.areas(), speed)

    def keep_source(self, frame: "ReadFrame | LargePhoto") -> None:
        """Keep which photo the files came from."""
        from galago.cli._outputs import photo_files

        if self.outputs and self.kind == "photos":
            files = photo_files(self.outputs.folder, frame.name, confidence=self.confidence)
            self.outputs.add(Path(frame.origin), files)
            self.saved[files[0].name] = frame.origin
            if frame.name != Path(frame.origin).stem:
                self.renamed[files[0].name] = frame.origin

    def keep_index(self) -> None:
        """Save what is known of the files so far, after an error; a full disk may forbid it."""
        if self.outputs:
            with suppress(OSError):
                self.outputs.save()


def silence_opencv() -> None:
    """Keep OpenCV and FFmpeg from printing about each damaged block of a video.

    Our own messages say what matters.

    To be called before OpenCV is imported, which reads these settings once.
    """
    import os

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")


def check_photos_stay(frames: "list[Frame]", out: Path) -> None:
    """Refuse to write over one of the photos.

    Raises:
        ConfigError: a label map or an overlay would have the path of a photo.
    """
    from galago.errors import ConfigError
    from galago.runtime.result import confidence_file, written_files

    photos = {frame.path.resolve() for frame in frames}
    for frame in frames:
        for file in (*written_files(out, frame.name), confidence_file(out, frame.name)):
            if file.resolve() in photos:
                raise ConfigError(
                    f"The labels of {frame.path} would replace the photo {file}. Choose another "
                    "--out."
                )


def check_video_stays(video: "Video", target: Path) -> None:
    """Refuse to write over the video that is read.

    Raises:
        ConfigError: the overlay would have its path.
    """
    from galago.errors import ConfigError

    if video.path and video.path.resolve() == target.resolve():
        raise ConfigError(
            f"The overlay would replace the video {video.path}. Choose another --out."
        )


def summarize(job: Job) -> dict[str, Any]:
    """Return mean areas, the largest first, median milliseconds of each step, and frames per second
    of the whole.
    """
    speed = job.tally.speed()
    summary: dict[str, Any] = {
        "areas": job.tally.areas(),
        "speed": {step: speed[step] for step in STEPS if step in speed},
    }
    if "save" in speed:
        summary["save_ms"] = speed["save"]
    return summary | {
        "frames_per_second": round(job.tally.count / job.seconds, 2) if job.seconds else 0.0
    }


def report(job: Job, file: "VideoFile | None", out: Path, *, err: bool) -> None:
    """Print the areas as a table with the classes' colors, then the times and what was saved."""
    from galago.cli._console import Table, say

    count = job.tally.count
    if not count:
        return
    spec, kind = job.segmenter.spec, job.kind
    colors = dict(zip(spec.classes, spec.palette, strict=True))
    say("area" if count == 1 else f"mean area over {count} {kind}", err=err, style="italic")
    table = Table()
    table.add_column("")
    table.add_column("class")
    table.add_column("share", right=True)
    for name, share in job.tally.areas().items():
        table.add_row(colors[name], name, f"{share:.2%}")
    table.show(err=err)
    speed = job.tally.speed()
    steps = "  ".join(f"{step} {time_ms:.1f}" for step, time_ms in speed.items())
    times = f"{'ms' if count == 1 else 'median ms each'}: {steps}  total {sum(speed.values()):.1f}"
    say(f"{times}  (engine: {job.segmenter.engine.name})", err=err)
    if count > 1:
        say(
            f"whole: {count} {kind} in {job.seconds:.1f} s, {count / job.seconds:.1f} per second",
            err=err,
        )
    if file:
        say(f"Saved: {file.path}", err=err)
    elif job.store:
        sure = " and confidence (_confidence.png)" if job.confidence else ""
        say(f"Saved: {count} label maps (.png) and overlays (_overlay.jpg){sure} in {out}", err=err)
    for line in job.outputs.remarks(kind, job.renamed) if job.outputs else ():
        say(line, err=err)


def report_oddities(job: Job, left_out: str | None, file: "VideoFile | None") -> None:
    """Say what was left out of a folder or a video, and what is odd about images that were labeled."""
    from galago.cli._console import say

    lines = [left_out] if left_out else []
    lines += [f"{origin} {note}" for origin, note in list(job.notes.items())[:1]]
    if len(job.notes) > 1:
        lines.append(f"The same holds for {len(job.notes) - 1} more of {job.tally.count} photos.")
    if file and file.left_out_s:
        lines.append(
            f"Pauses of more than 10 minutes were shortened, by {file.left_out_s:.0f} seconds in "
            "all."
        )
    for line in lines:
        say(f"Note: {line}", err=True)


def raise_failures(job: Job) -> None:
    """Say at the end what failed.

    Raises:
        ImageError: something did.
    """
    from galago.errors import ImageError

    if job.failed and (job.kind == "frames" or job.tally.count + len(job.failed) == 1):
        raise ImageError(*job.failed.values())
    if job.failed:
        reasons = "\n".join(f"  {reason}" for reason in job.failed.values())
        raise ImageError(
            f"{len(job.failed)} of {job.tally.count + len(job.failed)} photos failed:\n{reasons}"
        )
