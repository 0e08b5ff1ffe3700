"""From logits at stride 8 to a label for every pixel: exact, and lazy where neighbors agree.

Interpolating all logits to the image's size and taking the argmax costs more than the network. But
bilinear interpolation is convex: where the four logits around some pixels have their maximum at the
same class, all pixels between them get that class, whatever the numbers are. Only cells on a border
between classes need interpolating, about a tenth of a real image. Bicubic interpolation overshoots
by a bounded amount, so a cell is skipped only if its margin is larger than that bound.
"""

import numpy as np

from galago.errors import ModelError, choose
from galago.runtime.labelmap.argmax import argmax
from galago.runtime.labelmap.dense import DenseLabeler
from galago.runtime.labelmap.interpolation import OVERSHOOT, TAPS, Axis
from galago.runtime.labelmap.sparse import ROUNDING, SparseLabeler

NOT_FINITE = "The network gave values that are not finite. Run it in float32, or export it again."
MOSTLY_BORDERS = 0.9  # of all cells; above, a search for classes that cannot win finds little
MOSTLY_CANDIDATES = 0.4  # of all classes in all cells; above, whole rows are faster than a search
MAX_CLASSES = 256  # labels are bytes


def label_map(
    logits: np.ndarray,
    size: tuple[int, int],
    scale: tuple[float, float],
    upsampling: str = "bilinear",
) -> np.ndarray:
    """Label every pixel as if all logits were interpolated to it and the argmax taken.

    Pixel (y, x) depends on the logits around ((y + 0.5) * scale[0] - 0.5, (x + 0.5) * scale[1] -
    0.5): half-pixel centers, borders repeated. Where classes tie, the smallest id wins.

    Args:
        logits: (K, h, w) float32, finite.
        size: (height, width) of the label map; any, not only multiples of the stride.
        scale: logits per pixel, along height and width.
        upsampling: bilinear or bicubic (a = -0.75).
    Returns:
        (height, width) uint8 labels.
    Raises:
        ConfigError: the kind of upsampling is unknown.
        ModelError: there are more than 256 classes, or a logit is NaN or infinite, so that no class
            is the largest.
    """
    taps = choose(TAPS, upsampling, "upsampling")
    if len(logits) > MAX_CLASSES:
        raise ModelError(f"Expected {MAX_CLASSES} classes at most, got {len(logits)}.")
    if not np.isfinite(logits).all():
        raise ModelError(NOT_FINITE)
    rows = Axis.build(size[0], logits.shape[1], scale[0], upsampling)
    columns = Axis.build(size[1], logits.shape[2], scale[1], upsampling)
    best, labels = argmax(logits)
    sure = uniform_cells(labels, taps)
    if OVERSHOOT[upsampling]:
        sure &= _margin_beats_overshoot(logits, best, OVERSHOOT[upsampling])
    unsure = ~sure & (rows.count > 0)[:, None] & (columns.count > 0)
    if np.count_nonzero(unsure) > MOSTLY_BORDERS * unsure.size:
        return DenseLabeler(logits, upsampling, rows, columns).label(size)
    borders = SparseLabeler(logits, labels, upsampling, np.nonzero(unsure))
    if borders.counts.sum() > MOSTLY_CANDIDATES * unsure.size * len(logits):
        return DenseLabeler(logits, upsampling, rows, columns).label(size)
    cells = np.pad(labels, 1, mode="edge")[:-1, :-1]  # the label of each cell's upper left logit
    full = cells.take(columns.cell, axis=1).take(rows.cell, axis=0)
    borders.label(rows, columns, full)
    return full


def upsample_logits(
    logits: np.ndarray,
    size: tuple[int, int],
    scale: tuple[float, float],
    upsampling: str = "bilinear",
) -> np.ndarray:
    """Return all logits, interpolated to all pixels; `label_map` is many times faster.

    Args:
        logits: (K, h, w) float32, finite.
        size: (height, width) in pixels; any, not only multiples of the stride.
        scale: logits per pixel, along height and width.
        upsampling: bilinear or bicubic (a = -0.75).
    Returns:
        (K, height, width) float32.
    Raises:
        ConfigError: the kind of upsampling is unknown.
        ModelError: a logit is NaN or infinite.
    """
    choose(TAPS, upsampling, "upsampling")
    if not np.isfinite(logits).all():
        raise ModelError(NOT_FINITE)
    down = Axis.build(size[0], logits.shape[1], scale[0], upsampling).matrix()
    across = Axis.build(size[1], logits.shape[2], scale[1], upsampling).matrix()
    upsampled: np.ndarray = down @ logits @ across.T
    return upsampled


def windows(values: np.ndarray, taps: int, reduce: np.ufunc) -> np.ndarray:
    """Reduce the `taps` x `taps` values around each cell, borders repeated: (h, w) to (h + 1, w +
    1); taps is 2 or 4.
    """
    values = np.pad(values, taps // 2, mode="edge")
    for step in (1, 2)[: taps // 2]:  # two neighbors, then two pairs
        values = reduce(values[:-step], values[step:])
        values = reduce(values[:, :-step], values[:, step:])
    return values


def uniform_cells(labels: np.ndarray, taps: int) -> np.ndarray:
    """Tell for each cell whether all logits around it have the same label: (h, w) labels to
    (h + 1, w + 1) bool.
    """
    equal: np.ndarray = windows(labels, taps, np.minimum) == windows(labels, taps, np.maximum)
    return equal


def _margin_beats_overshoot(logits: np.ndarray, best: np.ndarray, overshoot: float) -> np.ndarray:
    """Tell for each cell whether its top class wins at every pixel, whatever the weights are.

    A quick form of the bound in `sparse.py`: no margin is negative here, so corners only help.

    Returns:
        (h + 1, w + 1) bool; meaningful where the cell's logits agree on the largest class.
    """
    ahead = np.ones((best.shape[0] + 1, best.shape[1] + 1), bool)
    for plane in logits:
        margin = best - plane
        low, high = windows(margin, 2, np.minimum), windows(margin, 4, np.maximum)
        ahead &= (1 + overshoot) * (1 - ROUNDING) * low >= 2 * overshoot * high
    return ahead
