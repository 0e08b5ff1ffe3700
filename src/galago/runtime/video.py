"""Frames out: a video file that is whole or not there, and a window."""

import os
from pathlib import Path

import cv2
import numpy as np

from galago.errors import ConfigError, ImageError

CODEC = "mp4v"  # MPEG-4 part 2: the one that every OpenCV writes
WINDOW = "galago (q ends)"
END_KEYS = (ord("q"), 27)  # 27 is Esc


class VideoFile:
    """Writes an .mp4 beside its place and renames it when it is complete.

    As a context manager it is closed at the end, and discarded after an error.

    Attributes:
        path: where it will lie.
        size: (height, width) in pixels. The codec takes even sides, so an odd one loses its last row or column.
        count: frames so far.
    """

    def __init__(self, path: Path, size: tuple[int, int], *, rate: float) -> None:
        """Start the file.

        Args:
            path: ends in .mp4; its folder is made where it is missing, an older file there is replaced at the end.
            size: (height, width) in pixels, at least 2.
            rate: frames per second.
        Raises:
            ImageError: the file cannot be written, or OpenCV lacks the codec.
        """
        self.path = path
        self.size = (size[0] // 2 * 2, size[1] // 2 * 2)
        self.count = 0
        self._beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._beside.touch()
        except OSError as error:
            raise ImageError(f"Cannot write {path}: {error.strerror or error}. Choose another folder.") from error
        code = cv2.VideoWriter.fourcc(*CODEC)
        for tried in (rate, round(rate)):  # the codec's clock does not know every rate, 119.88 for one
            self._writer = cv2.VideoWriter(str(self._beside), code, tried, self.size[::-1])
            if self._writer.isOpened():
                return
        self._beside.unlink(missing_ok=True)
        form = f"{size[0]} x {size[1]} pixels at {rate:g} frames per second"
        raise ImageError(f"Cannot write {path}: this OpenCV starts no {CODEC} video of {form}. Use --save-labels for files.")

    def write(self, image: np.ndarray) -> None:
        """Add an (H, W, 3) uint8 RGB image; one of another size, as a stream may send, is resized."""
        height, width = self.size
        if image.shape[0] // 2 * 2 != height or image.shape[1] // 2 * 2 != width:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        self._writer.write(cv2.cvtColor(image[:height, :width], cv2.COLOR_RGB2BGR))
        self.count += 1

    def close(self) -> None:
        """End the file and put it in its place.

        Raises:
            ImageError: not every frame arrived in the file, as when the disk is full; OpenCV says nothing while it writes.
        """
        self._writer.release()
        written = count_frames(self._beside)
        if written != self.count:
            self.discard()
            raise ImageError(f"Cannot write {self.path}: only {written} of {self.count} frames arrived. Free space on the disk.")
        self._beside.replace(self.path)

    def discard(self) -> None:
        """Delete what was written; an older file at the path stays."""
        self._writer.release()
        self._beside.unlink(missing_ok=True)

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and self.count:
            self.close()
        else:
            self.discard()


def count_frames(path: Path) -> int:
    """Return how many frames a video file says it has, 0 where it is not whole."""
    capture = cv2.VideoCapture(str(path))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count


class Window:
    """Shows frames as they come."""

    def __init__(self) -> None:
        """Open it.

        Raises:
            ConfigError: this OpenCV has no windows.
        """
        try:
            cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise ConfigError(
                "This OpenCV opens no windows (opencv-python-headless has none). Leave out --show, or run: "
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
