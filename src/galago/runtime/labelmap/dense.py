"""Label maps by interpolating every pixel, band by band of rows: for logits without large areas of
one class, where there is nothing to skip.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from galago.runtime.labelmap.argmax import Workspace, update_argmax
from galago.runtime.labelmap.interpolation import TAPS, Axis, pad, weighted_sum_rows

BAND_PIXELS = 131072  # what fits into a core's cache
# whose rows are interpolated in one step: between steps, threads wait for the interpreter's lock
CLASSES_PER_STEP = 16


class DenseLabeler:
    """Labels all pixels by interpolating all classes.

    Within a band, pixels are ordered by their phase within the cell, (n, rows * cells): every step
    runs along whole rows of logits, and where all cells have their pixels at the same phases, such
    as at stride 8, each phase has one weight.
    """

    def __init__(self, logits: np.ndarray, upsampling: str, rows: Axis, columns: Axis) -> None:
        self.taps = TAPS[upsampling]
        self.padded = pad(logits, upsampling)
        self.below = [self.padded[:, tap:] - self.padded[:, :-tap] for tap in range(1, self.taps)]
        self.rows = rows
        self.cells = len(columns.count)
        phases, self.across = columns.phases()
        self.order = phases * self.cells + columns.cell

    def label(self, size: tuple[int, int]) -> np.ndarray:
        """Return the (height, width) labels of all pixels, on as many threads as OpenCV uses."""
        full = np.empty(size, np.uint8)
        threads = max(1, cv2.getNumThreads())
        with ThreadPoolExecutor(threads) as pool:
            list(
                pool.map(
                    self._label_rows,
                    np.array_split(np.arange(len(full)), threads),
                    np.array_split(full, threads),
                )
            )
        return full

    def _label_rows(self, rows: np.ndarray, full: np.ndarray) -> None:
        """Label some rows of pixels, band by band; `full` is their part of the label map."""
        width = self.across.shape[1] * self.cells
        height = max(1, -(-len(rows) // max(1, round(len(rows) * width / BAND_PIXELS))))
        scratch = Workspace.allocate(height * width)
        for top in range(0, len(rows), height):
            self._label_band(rows[top : top + height], full[top : top + height], scratch)

    def _label_band(self, rows: np.ndarray, full: np.ndarray, scratch: Workspace) -> None:
        """Label one band of rows."""
        across = self.across if self.across.shape[2] == 1 else np.tile(self.across, len(rows))
        work = scratch.fit((self.across.shape[1], len(rows) * self.cells))
        work.labels.fill(0)
        for start in range(0, len(self.padded), CLASSES_PER_STEP):
            for class_id, (first, *differences) in enumerate(
                self._upsample_rows(rows, slice(start, start + CLASSES_PER_STEP)), start
            ):
                values = weighted_sum_rows(
                    first, differences, across, (work.values if class_id else work.best, work.term)
                )
                if class_id:
                    update_argmax(
                        work.best,
                        work.labels,
                        values,
                        np.uint8(class_id),
                        (work.larger, work.candidates),
                    )
        by_row = (
            work.labels.reshape(-1, len(rows), self.cells).transpose(1, 0, 2).reshape(len(rows), -1)
        )
        by_row.take(self.order, axis=1, out=full, mode="clip")

    def _upsample_rows(self, rows: np.ndarray, classes: slice) -> np.ndarray:
        """Interpolate some classes to rows of pixels: (classes, taps, rows * cells), the first
        logit and differences to it.
        """
        first, *differences = (
            plane[classes].take(self.rows.cell[rows], axis=1)
            for plane in (self.padded, *self.below)
        )
        line = weighted_sum_rows(
            first,
            differences,
            self.rows.weights[1:, rows, None],
            (np.empty_like(first), np.empty_like(first)),
        )
        around = np.empty((self.taps, *first.shape[:2], self.cells), np.float32)
        around[0] = line[:, :, : self.cells]
        for tap in range(1, self.taps):
            np.subtract(line[:, :, tap : tap + self.cells], around[0], out=around[tap])
        return around.reshape(self.taps, len(first), -1).transpose(1, 0, 2)
