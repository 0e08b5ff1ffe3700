"""Confidence of each pixel's label, at the cost of interpolating one plane, not all classes."""

import numpy as np

from galago._core.softmax import softmax
from galago.runtime.labelmap.argmax import argmax
from galago.runtime.labelmap.interpolation import Axis, pad
from galago.runtime.labelmap.label_map import uniform_cells

BAND_ROWS = 32  # interpolated at a time, so that the buffers stay in a core's cache
CHUNK_PIXELS = 16384  # likewise


def confidence_map(
    logits: np.ndarray, labels: np.ndarray, scale: tuple[float, float]
) -> np.ndarray:
    """Return the probability of each pixel's class.

    It is the softmax over the classes at the logits' own resolution, interpolated bilinearly for
    the class that the pixel has.

    Args:
        logits: (K, h, w) float32, finite.
        labels: (H, W) of a label map made from them.
        scale: logits per pixel, along height and width.
    Returns:
        (H, W) float32, 0 to 1.
    """
    best, main = argmax(logits)
    return _ClassPlaneSampler(main, labels, scale).look_up(softmax(logits, best))


def margin_map(logits: np.ndarray, labels: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Return how far the probability of each pixel's class is ahead of the next one.

    Args and Returns are those of `confidence_map`; 0 where the class is not ahead. There have to be
    two classes or more.
    """
    best, main = argmax(logits)
    probabilities = softmax(logits, best)
    second, first = np.partition(probabilities, -2, axis=0)[-2:]
    ahead = probabilities - first
    np.put_along_axis(ahead, main[None].astype(np.intp), first - second, axis=0)
    found: np.ndarray = np.maximum(_ClassPlaneSampler(main, labels, scale).look_up(ahead), 0)
    return found


<<<<<<< HEAD
class ClassPlaneSampler:
=======
def softmax(logits: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return the (K, h, w) probabilities of logits whose largest is `best`."""
    probabilities: np.ndarray = np.exp(logits - best)
    probabilities /= probabilities.sum(axis=0)
    return probabilities


class _ClassPlaneSampler:
>>>>>>> h-runtime
    """Looks up, for each pixel, the interpolated plane of its own class."""

    def __init__(self, main: np.ndarray, labels: np.ndarray, scale: tuple[float, float]) -> None:
        """Find the pixels whose class is not the largest at all four logits around.

        Args:
            main: (h, w) the largest class of each logit.
            labels: (H, W).
            scale: logits per pixel, along height and width.
        """
        self.rows = Axis.build(labels.shape[0], main.shape[0], scale[0], "bilinear")
        self.columns = Axis.build(labels.shape[1], main.shape[1], scale[1], "bilinear")
        self.main = main[None].astype(np.intp)
        self.labels = labels.reshape(-1)
        cells = np.pad(main, 1, mode="edge")[:-1, :-1]
        same = cells.take(self.columns.cell, axis=1).take(self.rows.cell, axis=0) == labels
        same &= uniform_cells(main, 2).take(self.columns.cell, axis=1).take(self.rows.cell, axis=0)
        self.mixed = np.flatnonzero(~same)

    def look_up(self, planes: np.ndarray) -> np.ndarray:
        """Return (H, W) float32: the (K, h, w) planes, interpolated, each pixel's own."""
        found = self._main_plane(np.take_along_axis(planes, self.main, axis=0))
        padded = pad(planes, "bilinear")
        flat, width = padded.reshape(-1), padded.shape[2]
        for start in range(0, len(self.mixed), CHUNK_PIXELS):
            pixels = self.mixed[start : start + CHUNK_PIXELS]
            row, column = np.divmod(pixels, len(self.columns.cell))
            corner = self.labels.take(pixels) * np.intp(padded[0].size)
            corner += self.rows.cell.take(row) * width + self.columns.cell.take(column)
            down = self.rows.weights.take(row, axis=1)
            across = self.columns.weights.take(column, axis=1)
            left = flat.take(corner) * down[0] + flat.take(corner + width) * down[1]
            right = flat.take(corner + 1) * down[0] + flat.take(corner + 1 + width) * down[1]
            found.reshape(-1)[pixels] = left * across[0] + right * across[1]
        return found

    def _main_plane(self, plane: np.ndarray) -> np.ndarray:
        """Interpolate a (1, h, w) plane to all pixels, band by band of rows."""
        padded = pad(plane, "bilinear")[0]
        rows, columns = self.rows, self.columns
        full = np.empty((len(rows.cell), len(columns.cell)), np.float32)
        for top in range(0, len(full), BAND_ROWS):
            band = full[top : top + BAND_ROWS]
            cell = rows.cell[top : top + BAND_ROWS]
            down = rows.weights[:, top : top + BAND_ROWS, None]
            line = padded.take(cell, axis=0) * down[0] + padded.take(cell + 1, axis=0) * down[1]
            np.multiply(line.take(columns.cell, axis=1), columns.weights[0], out=band)
            band += line.take(columns.cell + 1, axis=1) * columns.weights[1]
        return full
