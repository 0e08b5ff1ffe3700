"""Write and show frames: a video file that is complete or absent, and a window."""

import os
from pathlib import Path

import cv2
import numpy as np

from galago._core.utf8_path import utf8_path
from galago.errors import ConfigError, ImageError

CODEC = "mp4v"  # MPEG-4 part 2: the one that every OpenCV writes
WINDOW = "galago (q ends)"
END_KEYS = (ord("q"), 27)  # 27 is Esc
LONGEST_PAUSE_S = 600.0  # between two frames; times that are wrong would fill the disk


class VideoFile:
    """Writes an .mp4 of constant frame rate to a temporary file and renames it when it is complete.

    If frames have times, each is repeated until the next is due, so that the file is as long as
    they were. As a context manager it is closed at the end, and discarded after an error.

    Attributes:
        path: of the complete file.
        size: (height, width) in pixels. The codec takes even sides, so an odd one loses its last
            row or column.
        fps: frames per second.
        count: frames so far, repeated ones among them.
        left_out_s: seconds that pauses of more than 10 minutes were shortened by.
    """

    def __init__(self, path: Path, size: tuple[int, int], *, fps: float) -> None:
        """Open the temporary file.

        Args:
            path: ends in .mp4; a missing folder is created, an older file is replaced at the end.
            size: (height, width) in pixels, at least 2.
            fps: frames per second.
        Raises:
            ImageError: the file cannot be written, or OpenCV lacks the codec.
        """
        self.path = path
        self.size = (size[0] // 2 * 2, size[1] // 2 * 2)
        self.count = 0
        self.left_out_s = 0.0
        self._last: np.ndarray | None = None
        self._time_s = self._gap_s = 0.0  # of the last frame, and between the last two
        self._temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.touch()
        except OSError as error:
            raise ImageError(
                f"Cannot write {path}: {error.strerror or error}. Choose another folder."
            ) from error
        for tried in (
            fps,
            round(fps),
        ):  # the codec's clock does not support every rate, e.g. 119.88
            self.fps = tried
            self._writer = self._open(tried)
            if self._writer.isOpened():
                return
        self._temporary.unlink(missing_ok=True)
        form = f"{size[0]} x {size[1]} pixels at {fps:g} frames per second"
        raise ImageError(
            f"Cannot write {path}: this OpenCV starts no {CODEC} video of {form}. Use "
            "--save-labels for files."
        )

    def _open(self, fps: float) -> cv2.VideoWriter:
        try:
            with utf8_path(self._temporary) as path:
                return cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*CODEC), fps, self.size[::-1])
        except OSError as error:
            self._temporary.unlink(missing_ok=True)
            raise ImageError(
                f"Cannot write {self.path}: its name is no UTF-8. Choose another --out."
            ) from error

    def write(self, image: np.ndarray, *, time_s: float | None = None) -> None:
        """Add an image.

        Args:
            image: (H, W, 3) uint8 RGB; resized if it has another size, such as from some streams.
            time_s: seconds from the first image to this one; None for the next frame.
        """
        height, width = self.size
        if image.shape[0] // 2 * 2 != height or image.shape[1] // 2 * 2 != width:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        if time_s is not None:
            self._gap_s, self._time_s = time_s - self._time_s, time_s
            self._repeat_until(time_s)
        self._last = cv2.cvtColor(image[:height, :width], cv2.COLOR_RGB2BGR)
        self._writer.write(self._last)
        self.count += 1

    def _repeat_until(self, time_s: float) -> None:
        """Repeat the last frame until the next one is due; no frame is ever dropped."""
        missing = round((time_s - self.left_out_s) * self.fps) - self.count
        longest = round(LONGEST_PAUSE_S * self.fps)
        if missing > longest:
            self.left_out_s += (missing - longest) / self.fps
        if self._last is not None:
            for _ in range(min(missing, longest)):
                self._writer.write(self._last)
                self.count += 1

    def close(self) -> None:
        """Complete the file and move it to its path.

        Raises:
            ImageError: not every frame is in the file, for example because the disk is full; OpenCV
                reports no errors while it writes.
        """
        if self._gap_s > 0:  # the last frame lasts as long as the one before
            self._repeat_until(self._time_s + self._gap_s)
        self._writer.release()
        written = count_frames(self._temporary)
        if written != self.count:
            self.discard()
            raise ImageError(
                f"Cannot write {self.path}: only {written} of {self.count} frames arrived. Free "
                "space on the disk."
            )
        self._temporary.replace(self.path)

    def discard(self) -> None:
        """Delete the temporary file; an older file at the path stays."""
        self._writer.release()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and self.count:
            self.close()
        else:
            self.discard()


def count_frames(path: Path) -> int:
    """Return the number of frames in a video file's header, 0 if it is incomplete."""
    with utf8_path(path) as plain:
        capture = cv2.VideoCapture(plain)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count


class Window:
    """Shows frames as they come."""

    def __init__(self) -> None:
        """Open the window.

        Raises:
            ConfigError: this OpenCV has no windows.
        """
        try:
            cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise ConfigError(
                "This OpenCV opens no windows (opencv-python-headless has none). Leave out --show, "
                "or run: "
                "pip uninstall opencv-python-headless && pip install opencv-python"
            ) from error

    def show(self, image: np.ndarray) -> bool:
        """Show an (H, W, 3) uint8 RGB image; return False where the user pressed q or Esc."""
        cv2.imshow(WINDOW, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF not in END_KEYS

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        cv2.destroyWindow(WINDOW)
