"""Areas of COCO annotations: polygons and run lengths, to masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from galago.errors import DataError


def draw_polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill a polygon: a pixel is inside if its center is, by the even-odd rule.

    Args:
        points: (n, 2) x and y in pixels; (0, 0) is the upper left corner of the first pixel, whose center is (0.5, 0.5).
        size: (height, width) of the mask.
    Returns:
        (H, W) bool.
    """
    height, width = size
    begin, end = points, np.roll(points, -1, axis=0)
    upper, lower = np.minimum(begin[:, 1], end[:, 1]), np.maximum(begin[:, 1], end[:, 1])
    first = np.clip(np.ceil(upper - 0.5), 0, height).astype(int)  # rows whose center an edge crosses
    last = np.clip(np.ceil(lower - 0.5), 0, height).astype(int)
    counts = last - first
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    (x0, y0), (x1, y1) = begin[edge].T, end[edge].T
    x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)  # the first pixel right of the crossing
    crossings = np.zeros((height, width + 1), np.uint8)
    np.add.at(crossings, (row, column), 1)
    inside: np.ndarray = np.cumsum(crossings[:, :width], axis=1, dtype=np.uint8) % 2 == 1
    return inside


def draw_runs(counts: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Fill from run lengths, which go down the columns and begin with pixels that are outside.

    Args:
        counts: pixels outside, inside, outside ...
        size: (height, width) of the mask.
    Returns:
        (H, W) bool.
    Raises:
        DataError: the runs do not cover the mask.
    """
    if sum(counts) != size[0] * size[1] or min(counts, default=0) < 0:
        raise DataError(f"run lengths of {sum(counts)} pixels do not cover {size[0]} x {size[1]} (height x width)")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(size[::-1]).T


def unpack_runs(text: str) -> list[int]:
    """Read run lengths from COCO's compressed string.

    A number is a row of characters from "0" on, 5 bits in each, the lowest first; bit 5 says that more follow, and bit 4 of the
    last is the sign. From the fourth on each number is the difference to the one two places before
    (github.com/cocodataset/cocoapi, common/maskApi.c, rleFrString).

    Raises:
        DataError: it ends within a number, or holds other characters.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - ord("0")
        if not 0 <= bits < 64:
            raise DataError(f"{character!r} does not occur in compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError("the compressed run lengths are cut short")
    return counts


def draw_segmentation(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Draw what stands under `segmentation`: a list of polygons [x, y, x, y ...], or run lengths, plain or compressed.

    Returns:
        (H, W) bool.
    Raises:
        DataError: of another form, or of another size.
    """
    mask = np.zeros(size, bool)
    if isinstance(segmentation, list):
        for polygon in segmentation:
            if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
                raise DataError(f"a polygon should be a list x, y, x, y ... of three points or more, got {polygon!r:.60}")
            points = np.array(polygon, np.float64).reshape(-1, 2)
            left, top = (int(side) for side in np.clip(np.floor(points.min(axis=0)), 0, size[::-1]))
            right, bottom = (int(side) for side in np.clip(np.ceil(points.max(axis=0)), 0, size[::-1]))
            mask[top:bottom, left:right] |= draw_polygon(points - (left, top), (bottom - top, right - left))
        return mask
    if not isinstance(segmentation, dict) or not {"counts", "size"} <= segmentation.keys():
        raise DataError(f"a segmentation should be polygons or run lengths (counts, size), got {segmentation!r:.60}")
    if tuple(segmentation["size"]) != size:
        raise DataError(f"run lengths are of size {segmentation['size']}, the photo is {list(size)} (height, width)")
    counts = segmentation["counts"]
    return draw_runs(unpack_runs(counts) if isinstance(counts, str) else counts, size)
