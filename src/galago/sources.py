"""What to label: a photo, folder, glob, list, video, camera or stream becomes one iterator over frames."""

import codecs
import glob
import os
import re
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from time import perf_counter
from urllib.parse import urlsplit

import cv2
import numpy as np

from galago import image as images
from galago.errors import ImageError, SourceError

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")
STREAM_SCHEMES = ("http", "https", "rtmp", "rtsp", "tcp", "udp")
LIST_SUFFIX = ".txt"
USUAL_RATE, HIGHEST_RATE = 25.0, 240.0  # frames per second; some cameras and browsers tell 0 or 1000
PATIENCE_MS = 10_000  # for a stream that does not answer
WHOLE = 0.9  # of the frames that a video announces; the number is an estimate in some formats


@dataclass(frozen=True)
class Frame:
    """One photo to label.

    Attributes:
        name: for the files that are written about it; unique within a source.
        path: where it lies.
    """

    name: str
    path: Path


class Video:
    """A video file, camera or stream whose first frame has come; iterating gives the frames, once.

    Attributes:
        source: its path, index or URL.
        name: for the files that are written about it.
        path: where it lies, None for a camera or a stream.
        length: frames that it announces, None where nobody knows.
        rate: frames per second.
        size: (height, width) of the first frame.
    """

    def __init__(self, source: str) -> None:
        """Open it and read the first frame.

        Args:
            source: path of a video file, index of a camera, or URL of a stream.
        Raises:
            SourceError: the camera or the stream gives nothing.
            ImageError: the file is no video, or a damaged one.
        """
        self.path = None if is_camera(source) or is_stream(source) else Path(source)
        self.name = video_name(source)
        self.source, self._capture = source, open_capture(source)
        self._first: np.ndarray | None = self._capture.read()[1]
        if self._first is None:
            self._capture.release()
            if self.path:
                raise ImageError(
                    f"{source} has no frame that can be read. Expected a whole video "
                    f"({', '.join(VIDEO_SUFFIXES)}); copy it again from where it came."
                )
            raise SourceError(f"{'Camera ' if is_camera(source) else ''}{source} gives no frames. {advice(source)}")
        height, width = self._first.shape[:2]
        self.size = (height, width)
        rate, length = self._capture.get(cv2.CAP_PROP_FPS), int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.rate = rate if 1 <= rate <= HIGHEST_RATE else USUAL_RATE
        self.length = length if length > 0 and not is_camera(source) else None

    @property
    def live(self) -> bool:
        """Whether it goes on until somebody ends it."""
        return self.length is None and self.path is None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield (H, W, 3) uint8 RGB frames, as they are decoded.

        Raises:
            ImageError: a file ends long before the number of frames that it announces.
        """
        count, frame = 0, self._first
        self._first = None
        try:
            while frame is not None:
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                count += 1
                _, frame = self._capture.read()
        finally:
            self._capture.release()
        if self.path and self.length and count < WHOLE * self.length:
            raise ImageError(
                f"{self.source} is damaged: it breaks off after {count} of {self.length} frames. "
                "Copy it again from where it came."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadFrame:
    """A frame of any source that has been read, or the reason why not.

    Attributes:
        name: for the files that are written about it; unique within a source.
        origin: the path, index or URL that it came from.
        image: (H, W, 3) uint8 RGB, or the error.
        read_ms: milliseconds that reading took.
    """

    name: str
    origin: str
    image: np.ndarray | ImageError
    read_ms: float


def read_frames(source: list[Frame] | Video, *, limit: int | None = None) -> Generator[ReadFrame]:
    """Read the frames of a source one after the other, only when the next is asked for.

    Args:
        source: what `open_source` gave.
        limit: the most frames to read.
    """
    return _read_video(source, limit) if isinstance(source, Video) else _read_photos(source[:limit])


def _read_photos(frames: list[Frame]) -> Generator[ReadFrame]:
    for frame in frames:
        start = perf_counter()
        image: np.ndarray | ImageError
        try:
            image = images.load(frame.path)
        except ImageError as error:  # the rest of a folder is still wanted
            image = error
        yield ReadFrame(name=frame.name, origin=str(frame.path), image=image, read_ms=1000 * (perf_counter() - start))


def _read_video(video: Video, limit: int | None) -> Generator[ReadFrame]:
    frames, start, number = islice(video, limit), perf_counter(), 0
    try:
        for number, image in enumerate(frames):
            read_ms = 1000 * (perf_counter() - start)
            yield ReadFrame(name=f"{video.name}_{number:06d}", origin=video.source, image=image, read_ms=read_ms)
            start = perf_counter()
    except ImageError as error:  # what came before is still wanted
        yield ReadFrame(name=f"{video.name}_{number + 1:06d}", origin=video.source, image=error, read_ms=0.0)


def open_source(source: str) -> list[Frame] | Video:
    """List the photos of a source, in order, or open a video.

    Args:
        source: a photo; a folder (its photos, not those of folders inside); a glob, `**` for any depth; a .txt file with one path
            a line, relative to that file; `-` for paths on standard input; a video file; the index of a camera, `0` the first;
            or the URL of a stream.
    Raises:
        SourceError: nothing is there, no photo is among it, or the camera or the stream gives nothing.
        ImageError: the video is damaged.
    """
    if is_camera(source) or is_stream(source) or is_video(source):
        return Video(source)
    paths = _find(source)
    if not paths:
        if source == "-" or source.lower().endswith(LIST_SUFFIX):
            raise SourceError(f"{'Standard input' if source == '-' else source} names no photo. Expected one path a line.")
        raise SourceError(f"No photo in {source}. Expected files that end in {', '.join(PHOTO_SUFFIXES)}.")
    return list(_with_unique_names(paths))


def _find(source: str) -> list[Path]:
    path = Path(source)
    if source == "-":
        lines = os.fsdecode(sys.stdin.buffer.read()).splitlines()  # a path need not be text
        return [Path(line.strip()) for line in lines if line.strip()]
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file())
    if path.is_file() and path.suffix.lower() == LIST_SUFFIX:
        lines = os.fsdecode(path.read_bytes().removeprefix(codecs.BOM_UTF8)).splitlines()
        return [path.parent / line.strip() for line in lines if line.strip()]
    if path.is_file():
        return [path]
    if glob.has_magic(source):
        found = (Path(name) for name in glob.glob(source, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        return sorted(file for file in found if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file())
    kinds = "a photo, a folder, a glob in quotes, a .txt list, - for paths on standard input, a video, a camera's index, or a URL"
    raise SourceError(f"There is nothing at {source}. Give {kinds}.")


def is_camera(source: str) -> bool:
    """Tell whether a source is the index of a camera; a file of that name comes first."""
    return source.isascii() and source.isdecimal() and not Path(source).exists()


def is_stream(source: str) -> bool:
    """Tell whether a source is the URL of a stream."""
    return source.partition("://")[0].lower() in STREAM_SCHEMES and "://" in source


def is_video(source: str) -> bool:
    """Tell whether a source is a video file."""
    return source.lower().endswith(VIDEO_SUFFIXES) and Path(source).is_file()


def video_name(source: str) -> str:
    """Return a file name without suffix: `clip` for clip.mp4, `camera0` for 0, `cam1` for rtsp://host/cam1."""
    if is_camera(source):
        return f"camera{source}"
    if is_stream(source):
        url = urlsplit(source)
        return re.sub(r"[^\w.-]+", "_", PurePosixPath(url.path).stem or url.hostname or "stream")
    return Path(source).stem


def open_capture(source: str) -> cv2.VideoCapture:
    """Open what OpenCV is to read; the caller finds out whether frames come."""
    if is_camera(source):
        return cv2.VideoCapture(int(source))
    if is_stream(source):
        patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, PATIENCE_MS]
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, patience)
    return cv2.VideoCapture(str(Path(source).absolute()))  # a relative path with a colon would be taken for a URL


def advice(source: str) -> str:
    """Say what to do about a camera or a stream that gives nothing."""
    if is_camera(source):
        return "Expected the index of a connected camera, 0 for the first. Plug it in, or close the program that uses it."
    return "Expected the URL of a running video stream. Check the address, the password and the network."


def _with_unique_names(paths: list[Path]) -> Iterator[Frame]:
    """Name each photo after its file; where two share that name, the later one gets a number that is still free."""
    taken = {path.stem for path in paths}
    counts: dict[str, int] = {}
    for path in paths:
        name, count = path.stem, counts.get(path.stem, 0) + 1
        if count > 1:
            while (name := f"{path.stem}_{count}") in taken:
                count += 1
        counts[path.stem] = count
        taken.add(name)
        yield Frame(name, path)
