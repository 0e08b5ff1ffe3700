"""What to label: an image, folder, glob, list, video, camera or stream becomes one iterator over
frames.
"""

import codecs
import glob
import os
import re
import statistics
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path, PurePosixPath
from time import perf_counter
from urllib.parse import urlsplit

import cv2
import numpy as np

from galago import image as images
from galago._core.file_walk import glob_once
from galago._core.printable import printable
from galago._core.utf8_path import is_utf8, utf8_path
from galago._core.video_container import Container, read_container
from galago.errors import ImageError, SourceError
from galago.image import IMAGE_SUFFIXES

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".3gp"),
    *(".ts", ".mts", ".m2ts", ".flv", ".wmv", ".mpg", ".mpeg"),
)
STREAM_SCHEMES = ("http", "https", "rtmp", "rtsp", "tcp", "udp")
LIST_SUFFIX = ".txt"
DEFAULT_FPS, MAX_FPS = (
    25.0,
    240.0,
)  # frames per second; some cameras and browsers tell 0 or 1000
FPS_FRAMES = 25  # whose times tell the rate where the file tells none
TIMEOUT_MS = 10_000  # for a stream that does not answer
# of the frames that a video's container counts; some players' files hold a few that are never shown
WHOLE = 0.9
OTHER_PICTURES = (
    ".heic",
    ".heif",
    ".avif",
    ".gif",
    ".jxl",
    ".jp2",
    ".j2k",
    ".jfif",
    ".jpe",
    ".svg",
    ".psd",
    ".exr",
    ".hdr",
    ".ppm",
    ".pgm",
    ".tga",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".orf",
    ".raf",
    ".rw2",
)


@dataclass(frozen=True)
class Frame:
    """One image to label.

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
        num_frames: frames that it announces, an estimate in most formats; None if unknown.
        fps: frames per second that it announces; those of a file may come at any times.
        size: (height, width) of the first frame.
        time_s: seconds from the first frame to the one that was given last; None of a camera and a
            stream.
    """

    def __init__(self, source: str) -> None:
        """Open it and read the first frame.

        Args:
            source: path of a video file, index of a camera, or URL of a stream.
        Raises:
            SourceError: the camera or the stream gives nothing.
            ImageError: the file is no video, or a damaged one.
        """
        self.time_s: float | None = None
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
            raise SourceError(
                f"{'Camera ' if is_camera(source) else ''}{source} gives no frames. "
                f"{advice(source)}"
            )
        height, width = self._first.shape[:2]
        self.size = (height, width)
        self._start_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        fps, num_frames = (
            self._capture.get(cv2.CAP_PROP_FPS),
            int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)),
        )
        if not 1 <= fps <= MAX_FPS:
            fps = _measure_fps(source) if self.path else DEFAULT_FPS
        self.fps = fps
        self.num_frames = num_frames if num_frames > 0 and not is_camera(source) else None

    @property
    def live(self) -> bool:
        """Whether it goes on until somebody ends it."""
        return self.num_frames is None and self.path is None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield (H, W, 3) uint8 RGB frames, as they are decoded.

        Raises:
            ImageError: a file is cut short, or gives far fewer frames than its container counts.
        """
        count, frame = 0, self._first
        self._first = None
        try:
            while frame is not None:
                self._tell_time()
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                count += 1
                _, frame = self._capture.read()
        finally:
            self._capture.release()
        if self.path:
            self._check_end(self.path, count)

    def _tell_time(self) -> None:
        """Note the time of the frame that was decoded last.

        One that is no later than the frame before comes a frame later.
        """
        if self.path is None:
            return
        time_s = (self._capture.get(cv2.CAP_PROP_POS_MSEC) - self._start_ms) / 1000
        if self.time_s is None:
            self.time_s = 0.0
        else:
            self.time_s = time_s if time_s > self.time_s else self.time_s + 1 / self.fps

    def _check_end(self, path: Path, count: int) -> None:
        try:
            with path.open("rb") as file:
                container = read_container(file)
        except OSError:
            container = Container()
        frames = container.frames
        if not container.cut and (frames is None or count >= WHOLE * frames):
            return
        if path.suffix.lower() == ".avi" and self.num_frames:
            frames = self.num_frames
        of_all = f"{count} of {frames}" if frames and frames > count else str(count)
        raise ImageError(
            f"{self.source} is damaged: it breaks off after {of_all} frames. Copy it again from "
            "where it came."
        )


def _measure_fps(source: str) -> float:
    """Return the frames per second of a video file by the times of its first ones."""
    capture = open_capture(source)
    times: list[float] = []
    while len(times) < FPS_FRAMES and capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    capture.release()
    steps = [later - sooner for sooner, later in pairwise(times) if later > sooner]
    fps = 1000 / statistics.median(steps) if steps else DEFAULT_FPS
    return fps if 1 <= fps <= MAX_FPS else DEFAULT_FPS


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadFrame:
    """A frame of any source: its pixels, or the error that reading it gave.

    Attributes:
        name: for the files that are written about it; unique within a source.
        origin: the path, index or URL that it came from.
        image: (H, W, 3) uint8 RGB; None where it could not be read, and where the frame is labeled
            in tiles and too large to wait in memory, so that it is read again from `origin`.
        error: why the frame could not be read.
        read_ms: milliseconds that reading took.
        time_s: of a video file, seconds from its first frame to this one.
        note: what is odd about an image that could be read.
        in_tiles: whether the frame is labeled in tiles.
    """

    name: str
    origin: str
    image: np.ndarray | None = None
    error: ImageError | None = None
    read_ms: float = 0.0
    time_s: float | None = None
    note: str | None = None
    in_tiles: bool = False


def read_frames(source: list[Frame] | Video, *, limit: int | None = None) -> Generator[ReadFrame]:
    """Read the frames of a source one after the other, only when the next is asked for.

    Args:
        source: what `open_source` gave.
        limit: the most frames to read.
    """
    return _read_video(source, limit) if isinstance(source, Video) else _read_images(source[:limit])


def _read_images(frames: list[Frame]) -> Generator[ReadFrame]:
    for frame in frames:
        start = perf_counter()
        try:
            image, header = images.load_with_header(frame.path)
        except ImageError as error:  # the rest of a folder is still wanted
            yield ReadFrame(name=frame.name, origin=str(frame.path), error=error)
            continue
        note = images.describe_depth(header.depth, int(image.max())) if header.depth == 16 else None
        read_ms = 1000 * (perf_counter() - start)
        yield ReadFrame(
            name=frame.name, origin=str(frame.path), image=image, read_ms=read_ms, note=note
        )


def _read_video(video: Video, limit: int | None) -> Generator[ReadFrame]:
    frames, start, number = islice(video, limit), perf_counter(), 0
    try:
        for number, image in enumerate(frames):
            read_ms = 1000 * (perf_counter() - start)
            yield ReadFrame(
                name=f"{video.name}_{number:06d}",
                origin=video.source,
                image=image,
                read_ms=read_ms,
                time_s=video.time_s,
            )
            start = perf_counter()
    except ImageError as error:  # what came before is still wanted
        yield ReadFrame(name=f"{video.name}_{number + 1:06d}", origin=video.source, error=error)


def open_source(source: str) -> list[Frame] | Video:
    """List the images of a source, in order, or open a video.

    Args:
        source: an image; a folder (its images, not those of folders inside); a glob, `**` for any
            depth; a .txt file with one path a line, relative to that file; `-` for paths on
            standard input; a video file; the index of a camera, `0` the first; or the URL of a
            stream. Hidden files are left out of folders and globs, and so are files of other
            suffixes, which `left_out` counts. Globs follow links to folders, and give each image
            once.
    Raises:
        SourceError: nothing is there, no image is among it, or the camera or the stream gives
            nothing.
        ImageError: the video is damaged.
    """
    if is_camera(source) or is_stream(source) or is_video(source):
        return Video(source)
    paths = _find(source)
    if not paths:
        if source == "-" or source.lower().endswith(LIST_SUFFIX):
            raise SourceError(
                f"{'Standard input' if source == '-' else source} names no photo. Expected one "
                "path a line."
            )
        more = describe_left_out(left_out(source)) or ""
        raise SourceError(
            f"No photo in {source}. Expected files that end in {', '.join(IMAGE_SUFFIXES)}. "
            f"{more}".rstrip()
        )
    return list(_with_unique_names(paths))


def _find(source: str) -> list[Path]:
    path = Path(source)
    if source == "-":
        return list(map(Path, _lines(sys.stdin.buffer.read(), "Standard input")))
    if path.is_file() and path.suffix.lower() == LIST_SUFFIX:
        return [path.parent / line for line in _lines(path.read_bytes(), source)]
    if path.is_file():
        return [path]
    if path.is_dir() or glob.has_magic(source):
        return [file for file in _files(source) if file.suffix.lower() in IMAGE_SUFFIXES]
    kinds = (
        "a photo, a folder, a glob in quotes, a .txt list, - for paths on standard input, a "
        "video, a camera's index, or a URL"
    )
    raise SourceError(f"There is nothing at {source}. Give {kinds}.")


def _files(source: str) -> list[Path]:
    """List the files in a folder, or those that a glob finds, hidden ones left out: macOS, for one,
    adds `._a.jpg` to `a.jpg`.

    A link that leads nowhere is listed as well, so that reading it fails; folders and devices are
    not.
    """
    folder = Path(source)
    try:
        found = sorted(folder.iterdir()) if folder.is_dir() else glob_once(source)
    except OSError as error:
        raise SourceError(
            f"Cannot read {source}: {error.strerror or error}. Choose a folder that you may read."
        ) from error
    hidden = "" if not folder.is_dir() and PurePosixPath(source).name.startswith(".") else "."
    return [
        file
        for file in found
        if not (hidden and file.name.startswith(hidden))
        and (file.is_file() or (file.is_symlink() and not file.exists()))
    ]


def _lines(data: bytes, name: str) -> list[str]:
    """Split a list into paths, which need not be text.

    Raises:
        SourceError: the list is UTF-16.
    """
    if b"\0" in data:
        raise SourceError(
            f"{name} is UTF-16 or no list of paths. Expected one path a line; save it again with "
            "the encoding UTF-8."
        )
    lines = data.removeprefix(codecs.BOM_UTF8).replace(b"\r", b"\n").split(b"\n")
    return [os.fsdecode(line.strip()) for line in lines if line.strip()]


def left_out(source: str) -> dict[str, int]:
    """Count the pictures and videos in a folder, or found by a glob, that `open_source` leaves out,
    by suffix in lower case.

    Args:
        source: as for `open_source`; whatever is no folder and no glob leaves out nothing.
    Raises:
        SourceError: the folder may not be read.
    """
    counts: dict[str, int] = {}
    if source == "-" or is_stream(source) or Path(source).is_file():
        return counts
    if Path(source).is_dir() or glob.has_magic(source):
        for file in _files(source):
            suffix = file.suffix.lower()
            if suffix in OTHER_PICTURES or suffix in VIDEO_SUFFIXES:
                counts[suffix] = counts.get(suffix, 0) + 1
    return counts


def describe_left_out(counts: dict[str, int]) -> str | None:
    """Say in one or two sentences what `left_out` counted, and what to do about it.

    None where there is nothing.
    """
    sentences = []
    for suffixes, what, advice in (
        (
            OTHER_PICTURES,
            "pictures of kinds that are not read",
            "Convert them first, for example by: magick mogrify -format jpg",
        ),
        (VIDEO_SUFFIXES, "videos", "Give each one alone"),
    ):
        found = {suffix: count for suffix, count in sorted(counts.items()) if suffix in suffixes}
        if found:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in found.items())
            more = f" *{next(iter(found))}" if what != "videos" else ""
            sentences.append(f"Left out {sum(found.values())} {what} ({kinds}). {advice}{more}.")
    return " ".join(sentences) or None


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
    """Return a file name without suffix: `clip` for clip.mp4, `camera0` for 0, `cam1` for
    rtsp://host/cam1.
    """
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
        if not is_utf8(source):  # over which OpenCV would end the program
            raise SourceError(f"{printable(source)} is no UTF-8. {advice(source)}")
        patience = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            TIMEOUT_MS,
        ]
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, patience)
    try:
        with utf8_path(
            Path(source)
        ) as path:  # absolute: a relative path with a colon would be taken for a URL
            return cv2.VideoCapture(path)
    except OSError as error:
        raise ImageError(
            f"Cannot open {printable(source)}: its name is no UTF-8. Rename it."
        ) from error


def advice(source: str) -> str:
    """Say what to do about a camera or a stream that gives nothing."""
    if is_camera(source):
        return (
            "Expected the index of a connected camera, 0 for the first. Plug it in, or close "
            "the program that uses it."
        )
    return (
        "Expected the URL of a running video stream. Check the address, the password and the "
        "network."
    )


def _with_unique_names(paths: list[Path]) -> Iterator[Frame]:
    """Name each image after its file.

    Where two share that name, the later one gets a number that is still free.
    """
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
