"""Label maps by interpolating only cells where several classes can win, and only those classes."""

import math

import numpy as np

from galago.runtime.labelmap.argmax import Workspace, update_argmax
from galago.runtime.labelmap.interpolation import OVERSHOOT, TAPS, Axis, pad, weighted_sum

ROUNDING = 1e-5  # relative; a class this near to its bound counts as one that can win
CHUNK_PIXELS = 32768  # interpolated at a time, so that the float32 buffers stay in a core's cache
CHUNK_LOGITS = 65536  # compared with those of the main class at a time, for the same reason
SMALLEST_CHUNK = 64  # cells; shorter rows keep NumPy busy with its own bookkeeping


class SparseLabeler:
    """Labels some cells of a map.

    Attributes:
        place: (M,) index of each cell's first logit in a padded plane.
        around: (taps, taps, 1) from there to all logits around the cell, rows first.
        ids: (R, M) the classes that can win somewhere in each cell, ascending in each column and 0
            beyond its end. That 0 does no harm: where class 0 is no candidate it is nowhere the
            largest, and where it is one it came first.
        counts: (M,) the number of them.
    """

    def __init__(
        self, logits: np.ndarray, labels: np.ndarray, upsampling: str, cells: tuple[np.ndarray, ...]
    ) -> None:
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
        steps = np.arange(self.taps)
        self.around = (self.padded.shape[2] * steps[:, None] + steps)[..., None]
        self.ids, self.counts = self._candidates(pad(labels[None], upsampling)[0])

    def _candidates(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List `ids` and `counts`: every class that is not behind the cell's main class all over
        the cell.

        The main class is one that is largest at an inner logit.
        """
        middle = self.around[self.taps // 2 - 1, self.taps // 2 - 1]
        main = self._logits_around(labels.take(self.place + middle).astype(np.intp))
        possible = np.empty((len(self.padded), len(self.place)), bool)
        step = max(1, CHUNK_LOGITS // max(1, len(self.place)))
        for start in range(0, len(possible), step):
            possible[start : start + step] = self._possible(self.padded[start : start + step], main)
        counts = possible.sum(axis=0)
        # faster than np.nonzero
        cell, class_id = np.divmod(np.flatnonzero(possible.T), len(possible))
        rank = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
        ids = np.zeros((counts.max(initial=0), len(counts)), np.intp)
        ids[rank, cell] = class_id
        return ids, counts

    def _possible(self, padded: np.ndarray, main: np.ndarray) -> np.ndarray:
        """Tell which classes can reach the main class somewhere in a cell.

        A class's margins are how far it is behind the main class. With margins of at least `inner`
        at the inner logits, at most `edge` at those that are outer along one axis, at least
        `corner` at those that are outer along both, and outer weights that sum to -m and -n along
        the two axes, a pixel's margin is at least

            (1 + m) (1 + n) inner - (m (1 + n) + n (1 + m)) edge + m n corner.

        That is linear in m and in n, so its least value lies where each of them is 0 or as large as
        it gets.

        Args:
            padded: (n, h, w) their logits, borders repeated.
            main: (taps, taps, M) the main class's logits around each cell.
        Returns:
            (n, M) bool.
        """
        planes = padded.reshape(len(padded), -1)
        inner = (self.taps // 2 - 1, self.taps // 2)
        bounds: dict[int, np.ndarray] = {}  # by the number of axes along which a logit is outer
        for row, column in np.ndindex(self.taps, self.taps):
            values = planes.take(self.place + self.around[row, column], axis=1)
            margin = np.subtract(main[row, column], values, out=values)
            outer = (row not in inner) + (column not in inner)
            bound = bounds.setdefault(outer, margin)
            (np.maximum if outer == 1 else np.minimum)(bound, margin, out=bound)
        possible = bounds[0] <= 0
        if self.overshoot:
            more, edge = 1 + self.overshoot, np.maximum(bounds[1], 0)
            one_axis = more * bounds[0] - self.overshoot * edge
            two_axes = (
                more**2 * bounds[0]
                - 2 * more * self.overshoot * edge
                + self.overshoot**2 * np.minimum(bounds[2], 0)
            )
            possible |= np.minimum(one_axis, two_axes) <= ROUNDING * edge
        return possible

    def label(self, rows: Axis, columns: Axis, full: np.ndarray) -> None:
        """Write the labels of the cells' pixels into the (H, W) label map."""
        # cells of similar counts together: a chunk takes as long as its longest cell
        order = np.argsort(-self.counts, kind="stable")
        shape = int(rows.count.max()), int(columns.count.max())
        step = max(SMALLEST_CHUNK, CHUNK_PIXELS // math.prod(shape))
        scratch = Workspace.allocate(math.prod(shape) * step)
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            self._label_chunk(chosen, (rows, columns), full, scratch)

    def _label_chunk(
        self, chosen: np.ndarray, axes: tuple[Axis, Axis], full: np.ndarray, scratch: Workspace
    ) -> None:
        """Interpolate the candidates of some of the cells and write the labels of their pixels."""
        (tops, down), (lefts, across) = (
            axis.block(cell[chosen]) for axis, cell in zip(axes, self.cells, strict=True)
        )
        work = scratch.fit((len(tops), len(lefts), len(chosen)))
        # sums down each column of logits, and one term of them
        lines = np.empty((2, self.taps, len(tops), len(chosen)), np.float32)
        work.best.fill(-np.inf)
        work.labels.fill(0)
        for class_id in self.ids[: self.counts[chosen[0]], chosen]:
            values = self._logits_around(class_id, chosen)
            weighted_sum(values[:, :, None], down, (lines[0], lines[1]))
            weighted_sum(lines[0][:, :, None], across, (work.values, work.term))
            update_argmax(
                work.best,
                work.labels,
                work.values,
                class_id.astype(np.uint8),
                (work.larger, work.candidates),
            )
        full.reshape(-1)[(tops * full.shape[1])[:, None] + lefts] = work.labels

    def _logits_around(
        self, class_id: np.ndarray, chosen: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        """Return the logits of one class for each of some cells: (taps, taps, M), rows first."""
        logits: np.ndarray = self.padded.take(
            class_id * self.padded[0].size + self.place[chosen] + self.around
        )
        return logits
