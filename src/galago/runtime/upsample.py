"""From logits at stride 8 to a label for every pixel: exact, and lazy where neighbors agree.

Interpolating all logits to the photo's size and taking the largest costs more than the network. But bilinear interpolation is
convex: where the four logits around some pixels all say the same class, all pixels between them get that class, whatever the
numbers are. Only the cells that lie on a border between classes need interpolating, about a tenth of a real photo. Bicubic
interpolation overshoots by a bounded amount, so there a cell is left out only if its margin is larger than that bound.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from galago.errors import ModelError, choose

TAPS = {"bilinear": 2, "bicubic": 4}  # logits that a pixel looks at along each axis
CUBIC_A = -0.75  # Keys' parameter, as in PyTorch
# Sum of the negative weights of a pixel, at most; the positive ones sum to one more. In the middle of a cell a bicubic pixel has
# -3/16 and 1 + 3/16 along each axis, so 2 * 3/16 * (1 + 3/16) in all.
OVERSHOOT = {"bilinear": 0.0, "bicubic": 0.4453125}
ROUNDING = 1e-5  # relative; a cell this near to its bound is interpolated
CHUNK_PIXELS = 32768  # interpolated at a time, so that the float32 buffers stay in a core's cache
MOSTLY_BORDERS = 0.5  # of all cells; beyond, the map is noise, and a search for classes that cannot win finds little
SMALLEST_CHUNK = 64  # cells; shorter rows keep NumPy busy with its own bookkeeping


@dataclass(frozen=True)
class Axis:
    """Where the pixels of one axis lie among the cells, which are the gaps between neighboring logits, borders included.

    Attributes:
        cell: (pixels,) the cell of each pixel, 0 to `source`.
        part: (pixels,) float32 place within the cell, 0 to 1.
        first: (source + 1,) the first pixel of each cell.
        count: (source + 1,) pixels in each cell.
    """

    cell: np.ndarray
    part: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @classmethod
    def lay(cls, pixels: int, source: int, scale: float) -> "Axis":
        """Lay `pixels` over `source` logits, `scale` logits to a pixel, with half-pixel centers."""
        place = (np.arange(pixels) + 0.5) * scale - 0.5
        below = np.floor(place)
        cell = np.clip(below + 1, 0, source).astype(np.intp)
        first = np.searchsorted(cell, np.arange(source + 2))
        return cls(cell, (place - below).astype(np.float32), first[:-1], np.diff(first))


def label_map(logits: np.ndarray, size: tuple[int, int], scale: tuple[float, float], upsampling: str = "bilinear") -> np.ndarray:
    """Label every pixel as if all logits were interpolated to its place and the largest taken.

    Pixel (y, x) looks at the logits around ((y + 0.5) * scale[0] - 0.5, (x + 0.5) * scale[1] - 0.5): half-pixel centers, borders
    repeated. Where classes tie, the smallest id wins.

    Args:
        logits: (K, h, w) float32, finite.
        size: (height, width) of the label map; any, not only multiples of the stride.
        scale: logits per pixel, along height and width.
        upsampling: bilinear or bicubic (a = -0.75).
    Returns:
        (height, width) uint8 labels; uint16 for more than 256 classes.
    Raises:
        ConfigError: the kind of upsampling is unknown.
        ModelError: a logit is NaN or infinite, so that no class is the largest.
    """
    taps = choose(TAPS, upsampling, "upsampling")
    if not np.isfinite(logits).all():
        raise ModelError("The network gave values that are not finite. Run it in float32, or export it again.")
    rows, columns = (Axis.lay(*of_axis) for of_axis in zip(size, logits.shape[1:], scale, strict=True))
    best, labels = largest(logits)
    sure = agreeing(labels, taps)
    if OVERSHOOT[upsampling]:
        sure &= beyond_overshoot(logits, best, taps, OVERSHOOT[upsampling])
    cells = np.pad(labels, 1, mode="edge")[:-1, :-1]  # for each cell the label of its upper left logit
    full = cells.take(columns.cell, axis=1).take(rows.cell, axis=0)
    cell_rows, cell_columns = np.nonzero(~sure & (rows.count > 0)[:, None] & (columns.count > 0))
    if cell_rows.size:
        Borders(logits, upsampling, rows, columns).label((cell_rows, cell_columns), full)
    return full


def largest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest value along the first axis of (K, ...) float32, and its index; the smallest index where values tie."""
    best = logits[0].copy()
    labels = np.zeros(best.shape, np.uint8 if len(logits) <= 256 else np.uint16)
    scratch = np.empty(best.shape, bool), np.empty_like(labels)
    for class_id in range(1, len(logits)):
        raise_labels(best, labels, logits[class_id], labels.dtype.type(class_id), scratch)
    return best, labels


def raise_labels(
    best: np.ndarray,
    labels: np.ndarray,
    values: np.ndarray,
    class_id: np.ndarray | np.integer,
    scratch: tuple[np.ndarray, np.ndarray],
) -> None:
    """Let a further class win where its value is larger, in place.

    Because ids only grow from call to call, "the new id where larger, else the old one" is a maximum, which is many times faster
    than an assignment through a mask.

    Args:
        best: largest value so far.
        labels: its class; all smaller than class_id.
        values: of the further class.
        class_id: its id, or one id per element of the last axis, of the labels' dtype.
        scratch: memory of the same shape, bool and of the labels' dtype.
    """
    larger, raised = scratch
    np.greater(values, best, out=larger)
    np.multiply(larger.view(np.uint8), class_id, out=raised)
    np.maximum(labels, raised, out=labels)
    np.maximum(best, values, out=best)


def windows(values: np.ndarray, taps: int, reduce: np.ufunc) -> np.ndarray:
    """Reduce the `taps` x `taps` logits around each cell, borders repeated: (..., h, w) to (..., h + 1, w + 1)."""
    values = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(taps // 2, taps // 2)] * 2, mode="edge")
    for axis in (-2, -1):
        length = values.shape[axis] - taps + 1
        parts = [values.take(range(start, start + length), axis=axis) for start in range(taps)]
        values = parts[0]
        for part in parts[1:]:
            values = reduce(values, part)
    return values


def agreeing(labels: np.ndarray, taps: int) -> np.ndarray:
    """Tell for each cell whether all logits around it have their largest at the same class: (h, w) to (h + 1, w + 1) bool."""
    equal: np.ndarray = windows(labels, taps, np.minimum) == windows(labels, taps, np.maximum)
    return equal


def beyond_overshoot(logits: np.ndarray, best: np.ndarray, taps: int, overshoot: float) -> np.ndarray:
    """Tell for each cell whether its largest class stays ahead of every other one however the weights of its pixels fall.

    With margins m between `low` and `high` and weights that sum to one, the negative ones to -n, a pixel's margin is at least
    (1 + n) low - n high.

    Returns:
        (h + 1, w + 1) bool; meaningful where the cell's logits agree on the largest class.
    """
    ahead = np.ones((best.shape[0] + 1, best.shape[1] + 1), bool)
    for plane in logits:
        margin = best - plane
        low, high = (windows(margin, taps, reduce) for reduce in (np.minimum, np.maximum))
        ahead &= (1 + overshoot) * (1 - ROUNDING) * low >= overshoot * high
    return ahead


class Borders:
    """Interpolates the cells on borders between classes, and there only the classes that can win."""

    def __init__(self, logits: np.ndarray, upsampling: str, rows: Axis, columns: Axis) -> None:
        self.taps, self.overshoot = TAPS[upsampling], OVERSHOOT[upsampling]
        reach = self.taps // 2
        self.padded = np.pad(logits, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
        self.rows, self.columns = rows, columns

    def label(self, cells: tuple[np.ndarray, np.ndarray], full: np.ndarray) -> None:
        """Write the labels of some cells, given by row and column, into the (H, W) label map."""
        place = np.ravel_multi_index(cells, self.padded.shape[1:])
        if len(place) > MOSTLY_BORDERS * self.padded[0].size:
            counts = np.full(len(place), len(self.padded))
            ids = np.broadcast_to(np.arange(len(self.padded))[:, None], (len(self.padded), len(place)))
        else:
            ids, counts = self.candidates(place)
        order = np.argsort(-counts, kind="stable")  # alike ones together: a chunk runs as long as its longest
        step = max(SMALLEST_CHUNK, CHUNK_PIXELS // int(self.rows.count.max() * self.columns.count.max()))
        scratch = Scratch.allocate((int(self.rows.count.max()), int(self.columns.count.max()), step), full.dtype)
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            self._label_chunk((cells[0][chosen], cells[1][chosen]), ids[: counts[chosen[0]], chosen], full, scratch)

    def candidates(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List the classes that can win somewhere in each of M cells: those whose upper bound reaches every lower bound.

        Args:
            place: (M,) index of each cell's first logit in a padded plane.
        Returns:
            (R, M) ids, ascending in each column and 0 beyond its end, and the (M,) number of them. That 0 does no harm: where
            class 0 is no candidate it is nowhere the largest, and where it is one it came first.
        """
        planes = self.padded.reshape(len(self.padded), -1)
        low = high = planes.take(place, axis=1)
        for row, column in list(np.ndindex(self.taps, self.taps))[1:]:
            corner = planes.take(place + row * self.padded.shape[2] + column, axis=1)
            low, high = np.minimum(low, corner), np.maximum(high, corner)
        spread = self.overshoot * (high - low)
        floor = (low - spread).max(axis=0)
        possible = high + spread >= floor - ROUNDING * np.abs(floor)
        counts = possible.sum(axis=0)
        cell, class_id = np.nonzero(possible.T)
        rank = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
        ids = np.zeros((counts.max(), len(place)), np.intp)
        ids[rank, cell] = class_id
        return ids, counts

    def _label_chunk(self, cells: tuple[np.ndarray, np.ndarray], ids: np.ndarray, full: np.ndarray, scratch: "Scratch") -> None:
        """Interpolate the candidates `ids` (R, M) of M cells and write the labels of the cells' pixels."""
        (tops, heights), (lefts, widths) = (block(axis, cell) for axis, cell in ((self.rows, cells[0]), (self.columns, cells[1])))
        down, across = (list(weights(part, self.taps)) for part in (heights, widths))
        place = np.ravel_multi_index(cells, self.padded.shape[1:])
        flat, width = self.padded.reshape(-1), self.padded.shape[2]
        work = scratch.fit((len(tops), len(lefts), ids.shape[1]))
        work.best.fill(-np.inf)
        work.labels.fill(0)
        for class_id in ids:
            corner = place + class_id * self.padded[0].size
            lines = []  # down each of the `taps` columns of logits: (pixels, M)
            for column in range(self.taps):
                values = [flat.take(corner + (row * width + column)) for row in range(self.taps)]
                lines.append(blend(values, down, (np.empty_like(heights), np.empty_like(heights)))[:, None])
            blend(lines, across, (work.grown, work.term))
            raise_labels(work.best, work.labels, work.grown, class_id.astype(full.dtype), (work.larger, work.raised))
        full.reshape(-1)[(tops * full.shape[1])[:, None] + lefts] = work.labels


@dataclass(frozen=True)
class Scratch:
    """Memory that all chunks use in turn, each (pixel rows, pixel columns, cells)."""

    best: np.ndarray
    grown: np.ndarray
    term: np.ndarray
    larger: np.ndarray
    labels: np.ndarray
    raised: np.ndarray

    @classmethod
    def allocate(cls, shape: tuple[int, int, int], labels: np.dtype) -> "Scratch":
        """Reserve memory for chunks of up to a shape."""
        kinds = (np.float32, np.float32, np.float32, bool, labels, labels)
        return cls(*(np.empty(shape, kind).reshape(-1) for kind in kinds))

    def fit(self, shape: tuple[int, int, int]) -> "Scratch":
        """Return the start of the same memory in the shape of one chunk."""
        size = math.prod(shape)
        return Scratch(*(memory[:size].reshape(shape) for memory in vars(self).values()))


def blend(values: list[np.ndarray], shares: list[np.ndarray], out: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the sum of values times shares, which sum to one: the first value, and the others' differences to it.

    Args:
        values, shares: as many of each, that broadcast against each other.
        out: memory for the result, and for one term.
    """
    total, term = out
    np.multiply(values[1] - values[0], shares[1], out=total)
    for value, share in zip(values[2:], shares[2:], strict=True):
        np.multiply(value - values[0], share, out=term)
        np.add(total, term, out=total)
    np.add(total, values[0], out=total)
    return total


def block(axis: Axis, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of M cells along one axis: (n, M) indices and places; a smaller cell's last pixel repeats."""
    step = np.minimum(np.arange(axis.count[cells].max())[:, None], axis.count[cells] - 1)
    pixels = axis.first[cells] + step
    return pixels, axis.part[pixels]


def weights(part: np.ndarray, taps: int) -> Iterator[np.ndarray]:
    """Return the weight of each of the `taps` logits around a place `part` of the way between the middle two, float32."""
    if taps == 2:
        yield from (1 - part, part)
        return
    for tap in range(taps):  # Keys, "Cubic convolution interpolation for digital image processing", 1981, equation 15
        distance = np.abs(part - (tap - 1))
        near = ((CUBIC_A + 2) * distance - (CUBIC_A + 3)) * distance**2 + 1
        far = CUBIC_A * (((distance - 5) * distance + 8) * distance - 4)
        yield np.where(distance <= 1, near, far).astype(np.float32)
