"""A small picture of a large photo and its labels, made strip by strip."""

from collections.abc import Sequence

import cv2
import numpy as np

from galago import image as images
from galago.labels import Color

LONGEST = 4096  # pixels of the long side
BAND_ROWS = 256  # rows of the picture that are colored at once


class Preview:
    """Averages the pixels of a photo over squares, and takes the label in the middle of each; `picture` joins the two.

    A photo whose long side is short enough stays as it is.

    Attributes:
        factor: side of a square in pixels.
        size: (height, width) of the picture.
    """

    def __init__(self, size: tuple[int, int], longest: int = LONGEST) -> None:
        """Start a picture of a photo of `size` whose long side is at most `longest`."""
        self.factor = -(-max(size) // longest)
        self.size = (-(-size[0] // self.factor), -(-size[1] // self.factor))
        self._whole = size
        self._photo = np.empty((*self.size, 3), np.uint8)
        self._labels = np.empty(self.size, np.uint8)
        middles = (np.arange(side) * self.factor + self.factor // 2 for side in self.size)
        self._rows, self._columns = (np.minimum(middle, side - 1) for middle, side in zip(middles, size, strict=True))
        self._waiting = np.empty((0, size[1], 3), np.uint8)
        self._averaged = self._read = self._labeled = 0  # rows of the picture, of the photo, of the labels so far

    def add_photo(self, rows: np.ndarray) -> None:
        """Add the next rows of the photo, (n, W, 3) uint8 RGB."""
        self._read += len(rows)
        rows = np.concatenate([self._waiting, rows]) if len(self._waiting) else rows
        missing = -len(rows) % self.factor if self._read == self._whole[0] else 0
        count = (len(rows) + missing) // self.factor
        self._waiting = rows[count * self.factor :].copy()
        if not count:
            return
        height, width = count * self.factor, self.size[1] * self.factor
        squares = rows[:height]
        if missing or width > self._whole[1]:  # the last squares are not whole: their border repeats
            squares = cv2.copyMakeBorder(squares, 0, height - len(squares), 0, width - self._whole[1], cv2.BORDER_REPLICATE)
        small = cv2.resize(squares, (self.size[1], count), interpolation=cv2.INTER_AREA)
        self._photo[self._averaged : self._averaged + count] = small
        self._averaged += count

    def add_labels(self, rows: np.ndarray) -> None:
        """Add the next rows of the labels, (n, W) uint8."""
        first, end = np.searchsorted(self._rows, (self._labeled, self._labeled + len(rows)))
        self._labels[first:end] = rows[self._rows[first:end] - self._labeled].take(self._columns, axis=1)
        self._labeled += len(rows)

    def picture(self, palette: Sequence[Color], alpha: float = 0.5) -> np.ndarray:
        """Return the picture under the colors of its labels, (h, w, 3) uint8 RGB, as `galago.image.overlay`; ends the preview."""
        for top in reversed(range(0, self.size[0], BAND_ROWS)):
            above = min(top, 1)  # a border between classes is seen from the row above
            band = slice(top - above, top + BAND_ROWS)
            self._photo[top : top + BAND_ROWS] = images.overlay(self._photo[band], self._labels[band], palette, alpha)[above:]
        return self._photo
