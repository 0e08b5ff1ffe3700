"""Interpolate only the cells where more than one class can win, and there only those classes."""

import math

import numpy as np

from galago.runtime.axis import OVERSHOOT, TAPS, Axis, blend, pad
from galago.runtime.largest import raise_labels
from galago.runtime.scratch import Scratch

ROUNDING = 1e-5  # relative; a class this near to its bound counts as one that can win
CHUNK_PIXELS = 32768  # interpolated at a time, so that the float32 buffers stay in a core's cache
SMALLEST_CHUNK = 64  # cells; shorter rows keep NumPy busy with its own bookkeeping


class Borders:
    """Labels some cells of a map.

    Attributes:
        place: (M,) index of each cell's first logit in a padded plane.
        ids: (R, M) the classes that can win somewhere in each cell, ascending in each column and 0 beyond its end. That 0 does no
            harm: where class 0 is no candidate it is nowhere the largest, and where it is one it came first.
        counts: (M,) the number of them.
    """

    def __init__(self, logits: np.ndarray, labels: np.ndarray, upsampling: str, cells: tuple[np.ndarray, ...]) -> None:
        """Find the candidates.

        Args:
            logits: (K, h, w) float32.
            labels: (h, w) the largest class of each logit.
            upsampling: bilinear or bicubic.
            cells: row and column of each of M cells.
        """
        self.taps, self.overshoot = TAPS[upsampling], OVERSHOOT[upsampling]
        self.cells = cells
        self.padded = pad(logits, upsampling)
        self.place = np.ravel_multi_index(cells, self.padded.shape[1:])
        self.ids, self.counts = self._candidates(pad(labels[None], upsampling)[0])

    def _candidates(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List `ids` and `counts`: every class that is not behind the cell's main class all over the cell.

        The main class is one that is largest at an inner logit; a class's margins are how far it is behind that. With margins of
        at least `inner` at the inner logits, at most `edge` at those that are outer along one axis, at least `corner` at those
        that are outer along both, and outer weights that sum to -m and -n along the two axes, a pixel's margin is at least

            (1 + m) (1 + n) inner - (m (1 + n) + n (1 + m)) edge + m n corner.

        That is linear in m and in n, so its least value lies where each of them is 0 or as large as it gets.
        """
        planes = self.padded.reshape(len(self.padded), -1)
        width, middle = self.padded.shape[2], self.taps // 2 - 1
        main = labels.reshape(-1).take(self.place + middle * (width + 1))
        offsets = {(row, column): row * width + column for row, column in np.ndindex(self.taps, self.taps)}
        bounds: dict[int, np.ndarray] = {}  # by the number of axes along which a logit is an outer one
        for (row, column), offset in offsets.items():
            values = planes.take(self.place + offset, axis=1)
            margin = np.take_along_axis(values, main[None].astype(np.intp), axis=0) - values
            outer = sum(step not in (middle, middle + 1) for step in (row, column))
            bounds[outer] = (np.maximum if outer == 1 else np.minimum)(bounds[outer], margin) if outer in bounds else margin
        possible = bounds[0] <= 0
        if self.overshoot:
            more, edge = 1 + self.overshoot, np.maximum(bounds[1], 0)
            one_axis = more * bounds[0] - self.overshoot * edge
            two_axes = more**2 * bounds[0] - 2 * more * self.overshoot * edge + self.overshoot**2 * np.minimum(bounds[2], 0)
            possible |= np.minimum(one_axis, two_axes) <= ROUNDING * edge
        counts = possible.sum(axis=0)
        cell, class_id = np.nonzero(possible.T)
        rank = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
        ids = np.zeros((counts.max(initial=0), len(main)), np.intp)
        ids[rank, cell] = class_id
        return ids, counts

    def label(self, rows: Axis, columns: Axis, full: np.ndarray) -> None:
        """Write the labels of the cells' pixels into the (H, W) label map."""
        order = np.argsort(-self.counts, kind="stable")  # alike ones together: a chunk runs as long as its longest
        shape = int(rows.count.max()), int(columns.count.max())
        step = max(SMALLEST_CHUNK, CHUNK_PIXELS // math.prod(shape))
        scratch = Scratch.allocate((*shape, step), full.dtype)
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            self._label_chunk(chosen, (rows, columns), full, scratch)

    def _label_chunk(self, chosen: np.ndarray, axes: tuple[Axis, Axis], full: np.ndarray, scratch: Scratch) -> None:
        """Interpolate the candidates of some of the cells and write the labels of their pixels."""
        (tops, down), (lefts, across) = (axis.block(cell[chosen]) for axis, cell in zip(axes, self.cells, strict=True))
        flat, width = self.padded.reshape(-1), self.padded.shape[2]
        work = scratch.fit((len(tops), len(lefts), len(chosen)))
        work.best.fill(-np.inf)
        work.labels.fill(0)
        for class_id in self.ids[: self.counts[chosen[0]], chosen]:
            corner = self.place[chosen] + class_id * self.padded[0].size
            lines = []  # down each of the `taps` columns of logits: (pixels, M)
            for column in range(self.taps):
                values = [flat.take(corner + (row * width + column)) for row in range(self.taps)]
                lines.append(blend(values, list(down), (np.empty_like(down[0]), np.empty_like(down[0])))[:, None])
            blend(lines, list(across), (work.grown, work.term))
            raise_labels(work.best, work.labels, work.grown, class_id.astype(full.dtype), (work.larger, work.raised))
        full.reshape(-1)[(tops * full.shape[1])[:, None] + lefts] = work.labels
