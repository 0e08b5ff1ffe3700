"""What `galago predict` does: read the frames of a source, label them and write the results."""

from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Protocol

import numpy as np

from galago import image as images
from galago import sources
from galago._core.write_errors import stops_all
from galago.errors import ConfigError, ImageError
from galago.runtime.outputs import Outputs, claim_outputs, frame_files, image_files, video_path
from galago.runtime.pipeline import run_pipeline
from galago.runtime.result import Segmentation
from galago.runtime.segmenter import Segmenter
from galago.runtime.smoothing import Smoother
from galago.runtime.tiling.labeler import TileLabeler, make_tile_labeler
from galago.runtime.video import VideoFile, Window
from galago.sources import ReadFrame, Video

LATEST = 10_000  # frames whose times are kept; a camera may run for weeks


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """What to do with each frame.

    Attributes:
        out: folder for label maps and overlays; None saves nothing.
        alpha: strength of the colors in overlays, 0 to 1.
        frame_labels: whether the label map of each frame of a video is saved, too.
        confidence: whether the confidence of images is saved beside their labels.
        overwrite: whether files of other sources may be replaced.
        smooth: strength of the average over frames, 0 for none; see `Smoother`.
        tile: side of a tile in pixels, 0 for no tiles, None: automatic.
        overlap: pixels that tiles share (default: see `TileConfig`).
        max_frames: the most frames to read (default: all).
    """

    out: Path | None = None
    alpha: float = 0.5
    frame_labels: bool = False
    confidence: bool = False
    overwrite: bool = False
    smooth: float = 0.0
    tile: int | None = None
    overlap: int | None = None
    max_frames: int | None = None


class Result(Protocol):
    """What is known about a labeled frame: a `Segmentation`, or a `TiledSegmentation`."""

    def areas(self) -> dict[str, float]:
        """Return the share of each class that occurs, 0 to 1, the largest first."""

    def overlay(self, *, legend: bool = True) -> np.ndarray:
        """Return the image under the colors of its classes, (H, W, 3) uint8 RGB."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """A labeled frame.

    Attributes:
        frame: what was labeled.
        result: its labels.
        speed: milliseconds of each step so far.
        save: writes the files; None where nothing is left to write.
    """

    frame: ReadFrame
    result: Result
    speed: Mapping[str, float]
    save: Callable[[], None] | None


class Progress(Protocol):
    """Shows how far the work is."""

    def advance(self) -> None:
        """Count a frame."""

    def tiles(self, name: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Show the tiles of an image while a block runs, which calls what it gets with the number
        of those done and of all.
        """

    def say(self, text: str) -> None:
        """Print a line."""


class RunningStats:
    """Number, areas and times of the frames so far, in bounded memory.

    Attributes:
        count: frames so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._areas: dict[str, float] = {}
        self._times: dict[str, deque[float]] = {}

    def add(self, areas: Mapping[str, float], speed: Mapping[str, float]) -> None:
        """Count one frame.

        Args:
            areas: share of each class in it, 0 to 1.
            speed: milliseconds of each step.
        """
        self.count += 1
        for name, share in areas.items():
            self._areas[name] = self._areas.get(name, 0.0) + share
        for step, time_ms in speed.items():
            self._times.setdefault(step, deque(maxlen=LATEST)).append(time_ms)

    def areas(self) -> dict[str, float]:
        """Return the mean share of each class that occurred, the largest first."""
        shares = {name: total / self.count for name, total in self._areas.items()}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def speed(self) -> dict[str, float]:
        """Return the median milliseconds of each step."""
        return {step: median(times) for step, times in self._times.items()}


class PredictJob:
    """One run over a source, and what is known about it afterwards.

    Attributes:
        source: the images, or the video.
        video: the video; None where the source is images.
        config: what to do with each frame.
        stats: number, areas and times of the frames that were labeled.
        failed: why frames could not be read, labeled or saved, by their origin.
        notes: what is odd about images that were labeled, by their origin.
        outputs: which file came from which source; None where nothing is saved.
        video_file: the overlay of a video; None where none is written.
        tile_labeler: the images that were labeled in tiles, from `run` on.
        seconds: from the first frame read to the last one written.
    """

    def __init__(self, source: str, config: PredictConfig) -> None:
        """Open a source and make sure that its files may be written, before a model is loaded.

        Args:
            source: see `galago.sources.open_source`.
            config: what to do with each frame.
        Raises:
            ConfigError: the options do not suit the source or each other, or a file would replace
                an input or the files of another source.
            ImageError, SourceError: the source cannot be read.
        """
        self.source = sources.open_source(source)
        self.video = self.source if isinstance(self.source, Video) else None
        self.config = config
        self.stats = RunningStats()
        self.failed: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.outputs: Outputs | None = None
        self.video_file: VideoFile | None = None
        self.tile_labeler: TileLabeler | None = None
        self.seconds = 0.0
        _check_options(config, video=self.video is not None)
        self._smoother = Smoother(config.smooth) if config.smooth else None
        if config.out:
            self.outputs = Outputs(config.out, config.overwrite)
            claim_outputs(
                self.source,
                self.outputs,
                labels=config.frame_labels,
                confidence=config.confidence,
            )

    @property
    def total(self) -> int | None:
        """Number of frames to come; None where it is unknown."""
        known = len(self.source) if isinstance(self.source, list) else self.source.num_frames
        limit = self.config.max_frames
        return min(known, limit) if known and limit else known or limit

    def run(self, segmenter: Segmenter, progress: Progress, window: Window | None = None) -> None:
        """Read, label and write all frames; Ctrl-C is how a camera or a stream ends.

        Args:
            segmenter: labels a frame.
            progress: shows how far the work is.
            window: shows each frame, if there is one.
        Raises:
            ConfigError: tile or overlap do not suit the model.
            ImageError: nothing more can be written, or a frame of a video cannot.
            KeyboardInterrupt: Ctrl-C, or the window was closed.
        """
        config, live = self.config, self.video is not None and self.video.live
        self.tile_labeler = make_tile_labeler(
            segmenter, config.tile, config.overlap, out=config.out, alpha=config.alpha
        )
        label = partial(self._label_next, segmenter, progress, window)
        with ExitStack() as stack:
            if self.video and config.out:
                path = video_path(config.out, self.video)
                self.video_file = stack.enter_context(
                    VideoFile(path, self.video.size, fps=self.video.fps)
                )
            start = perf_counter()
            try:
                run_pipeline(self._read(self.tile_labeler), label, self.write, finish=live)
            except BaseException as error:
                if not (live and isinstance(error, KeyboardInterrupt)):
                    if self.outputs:
                        self.outputs.try_save()
                    raise
            self.seconds = perf_counter() - start
        self._save_index()

    def label(self, frame: ReadFrame, segmenter: Segmenter, progress: Progress) -> Prediction:
        """Label a frame; one in tiles is saved as well.

        Raises:
            ImageError: it could not be read or labeled.
        """
        if frame.error:
            raise frame.error
        if frame.in_tiles:
            return self._label_in_tiles(frame, progress)
        assert frame.image is not None
        result = segmenter(frame.image, smoother=self._smoother, confidence=self._saves_confidence)
        save = partial(self._save, frame, result) if self.config.out else None
        speed = {**result.speed, "read": frame.read_ms}
        return Prediction(frame=frame, result=result, speed=speed, save=save)

    def write(self, prediction: Prediction) -> None:
        """Save a frame and count it.

        Raises:
            ImageError: nothing more can be written, or a frame of a video cannot; an image that
                cannot be written fails alone.
        """
        frame, speed = prediction.frame, dict(prediction.speed)
        if frame.note:
            self.notes[frame.origin] = frame.note
        if prediction.save:
            start = perf_counter()
            try:
                prediction.save()
            except ImageError as error:
                if self.video or stops_all(error):
                    raise
                self.failed[frame.origin] = str(error)
                return
            speed["save"] = 1000 * (perf_counter() - start)
        if self.outputs and not self.video:
            self.outputs.add_image(frame, confidence=self.config.confidence)
        self.stats.add(prediction.result.areas(), speed)

    @property
    def _saves_confidence(self) -> bool:
        return self.config.confidence and self.config.out is not None

    def _read(self, tile_labeler: TileLabeler) -> Generator[ReadFrame]:
        limit = self.config.max_frames
        if isinstance(self.source, list):
            return tile_labeler.read(self.source, limit)
        return sources.read_frames(self.source, limit=limit)

    def _label_next(
        self, segmenter: Segmenter, progress: Progress, window: Window | None, frame: ReadFrame
    ) -> Prediction | None:
        """Label and show a frame; None where it failed.

        Raises:
            ImageError: nothing more can be written.
            KeyboardInterrupt: the window was closed.
        """
        progress.advance()
        try:
            prediction = self.label(frame, segmenter, progress)
        except ImageError as error:  # the rest of a folder is still wanted
            if frame.in_tiles and stops_all(error):  # these are saved while they are labeled
                raise
            self.failed[frame.origin] = str(error)
            return None
        if window and not window.show(prediction.result.overlay(legend=False)):
            raise KeyboardInterrupt
        return prediction

    def _label_in_tiles(self, frame: ReadFrame, progress: Progress) -> Prediction:
        """Label an image in tiles and write its files.

        Raises:
            ImageError: it cannot be read or written, or confidence is asked for.
        """
        assert self.tile_labeler is not None
        if self._saves_confidence:
            raise ImageError(
                f"{frame.origin} is labeled in tiles, without --confidence. Leave that out, or add "
                "--tile 0."
            )
        with progress.tiles(frame.name) as advance:
            result = self.tile_labeler.label(frame, advance)
        for line in self.tile_labeler.describe(frame.origin, result):
            progress.say(line)
        frame = replace(frame, note=frame.note or result.note)
        return Prediction(frame=frame, result=result, speed=result.speed, save=None)

    def _save(self, frame: ReadFrame, result: Segmentation) -> None:
        """Write the files of an image, or add a frame to the video.

        Raises:
            ImageError: a file cannot be written; then none of an image's files is left.
        """
        out, config = self.config.out, self.config
        assert out is not None
        if self.video_file:
            self.video_file.write(result.overlay(config.alpha, legend=False), time_s=frame.time_s)
            if config.frame_labels:
                images.save_labels(out / f"{frame.name}.png", result.labels, result.palette)
            return
        try:
            result.save(out, frame.name, alpha=config.alpha)
            if config.confidence:
                result.save_confidence(out, frame.name)
        except ImageError:
            for file in image_files(out, frame.name, confidence=config.confidence):
                with suppress(OSError):  # such as a name that is too long, or a folder in the way
                    file.unlink()
            raise

    def _save_index(self) -> None:
        if not self.outputs:
            return
        if self.video and self.video_file:
            name, folder = self.video.name, self.outputs.folder
            labels = frame_files(folder, name) if self.config.frame_labels else ()
            self.outputs.add(self.video.path or name, [self.video_file.path, *labels])
        self.outputs.save()


def _check_options(config: PredictConfig, *, video: bool) -> None:
    """Refuse tiles and confidence for a video and together, and tiles with smoothing.

    Raises:
        ConfigError: they were asked for.
    """
    if video and (config.tile is not None or config.overlap is not None):
        raise ConfigError(
            "--tile and --overlap are for photos, got a video, camera or stream. Leave them out."
        )
    if config.confidence and (video or config.tile):
        raise ConfigError(
            "--confidence is for photos that are labeled at once, without --tile, and not for "
            "videos. Leave it out."
        )
    if config.tile and config.smooth:
        raise ConfigError(
            "--tile labels each photo for itself, --smooth averages over frames. Leave one of them "
            "out."
        )
