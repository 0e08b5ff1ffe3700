"""Interpolate every pixel, band by band of rows: for logits without large areas of one class, where laziness finds nothing."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from galago.runtime.axis import TAPS, Axis, blend, pad
from galago.runtime.largest import label_type, raise_labels

BAND_PIXELS = 262144  # large enough that threads rarely meet at the interpreter's lock, small enough for the cache


class Bands:
    """All classes at all pixels; what a band needs beside its rows.

    Within a band, pixels are kept by their place within the cell, (n, rows, cells): every step runs along whole rows of logits.
    """

    def __init__(self, logits: np.ndarray, upsampling: str, rows: Axis, columns: Axis) -> None:
        self.taps = TAPS[upsampling]
        self.padded = pad(logits, upsampling)
        self.rows = rows
        self.cells = len(columns.count)
        self.across = columns.block(np.arange(self.cells))[1][:, :, None]
        self.order = (np.arange(len(columns.cell)) - columns.first[columns.cell]) * self.cells + columns.cell

    def label(self, size: tuple[int, int]) -> np.ndarray:
        """Return the (height, width) labels of all pixels, found on as many threads as OpenCV uses."""
        full = np.empty(size, label_type(len(self.padded)))
        most = max(1, BAND_PIXELS // self.across[0].size)
        threads = max(1, cv2.getNumThreads())
        height = min(most, -(-len(full) // threads))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda top: self._label_band(top, full[top : top + height]), range(0, len(full), height)))
        return full

    def _label_band(self, top: int, full: np.ndarray) -> None:
        """Label the rows of pixels from `top` on, as many as `full` has."""
        cell = self.rows.cell[top : top + len(full)]
        down = self.rows.shares[:, top : top + len(full), None]
        shape = (len(self.across[0]), len(full), self.cells)
        best, grown, term = (np.empty(shape, np.float32) for _ in range(3))
        labels, raised, larger = np.zeros(shape, full.dtype), np.empty(shape, full.dtype), np.empty(shape, bool)
        lines = np.empty((2, len(full), self.padded.shape[2]), np.float32)
        best.fill(-np.inf)
        for class_id, plane in enumerate(self.padded):
            line = blend([plane.take(cell + tap, axis=0) for tap in range(self.taps)], list(down), (lines[0], lines[1]))
            blend([line[:, tap : tap + self.cells] for tap in range(self.taps)], list(self.across), (grown, term))
            raise_labels(best, labels, grown, full.dtype.type(class_id), (larger, raised))
        labels.transpose(1, 0, 2).reshape(len(full), -1).take(self.order, axis=1, out=full, mode="clip")
