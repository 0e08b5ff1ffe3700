"""Areas of COCO annotations, checked before they are drawn; drawn by COCO's own pycocotools."""

from typing import Any

import numpy as np

from galago._core.shown import shown
from galago.errors import DataError, require

Rle = dict[str, Any]  # run lengths of pycocotools
MAX_OUTLINE = 4_000_000  # pixels along a polygon; pycocotools needs 80 bytes for each
FEWEST = 6  # numbers of a polygon: a triangle


def check_segmentation(
    segmentation: object, size: tuple[int, int]
) -> tuple[list[list[float]] | Rle, int]:
    """Check what stands under `segmentation`: polygons [[x, y, x, y ...] ...], or run lengths.

    Args:
        segmentation: content of the JSON file; one polygon may stand without the outer list.
        size: (height, width) of the image in pixels.
    Returns:
        polygons of three points or more, or {counts: list, size}; and how many polygons were left
        out because they have no area: less than three points, or all on one line.
    Raises:
        DataError: it is of another form or size, or holds numbers that lie nowhere near the image.
    """
    if isinstance(segmentation, dict):
        return _check_runs(segmentation, size), 0
    if not isinstance(segmentation, list):
        raise DataError(
            "a segmentation should be polygons or run lengths (counts, size), got "
            f"{shown(segmentation)}"
        )
    if segmentation and not any(isinstance(part, list) for part in segmentation):
        segmentation = [segmentation]
    if len(segmentation) > 2 and all(
        isinstance(part, list) and len(part) == 2 for part in segmentation
    ):
        raise DataError(
            "a polygon should be one list x, y, x, y ..., got a list of points "
            f"{shown(segmentation)}"
        )
    polygons = [_check_polygon(part, size) for part in segmentation]
    kept = [polygon for polygon in polygons if _has_area(polygon)]
    return kept, len(polygons) - len(kept)


def _check_polygon(polygon: object, size: tuple[int, int]) -> list[float]:
    if not isinstance(polygon, list) or not all(type(number) in (int, float) for number in polygon):
        raise DataError(
            f"a polygon should be a list of numbers x, y, x, y ..., got {shown(polygon)}"
        )
    if len(polygon) >= FEWEST and len(polygon) % 2:
        raise DataError(f"a polygon should have an even count of numbers, got {len(polygon)}")
    height, width = size
    for numbers, side, axis in ((polygon[::2], width, "x"), (polygon[1::2], height, "y")):
        for number in numbers:
            if not -side <= number <= 2 * side:  # NaN is not, either
                raise DataError(
                    f"a point of a polygon at {axis} = {shown(number)} lies far outside the photo, "
                    f"0 to {side}"
                )
    steps = (abs(a - b) for a, b in zip(polygon, polygon[2:], strict=False))
    if sum(steps) > MAX_OUTLINE:
        raise DataError(
            f"a polygon of {len(polygon) // 2:,} points goes to and fro over more than "
            f"{MAX_OUTLINE:,} pixels"
        )
    return polygon


def _has_area(polygon: list[float]) -> bool:
    """Tell whether not all points lie on one line."""
    if len(polygon) < FEWEST:
        return False
    points = np.array(polygon, np.float64).reshape(-1, 2)
    points -= points[0]
    far = points[np.abs(points).sum(axis=1).argmax()]
    return bool((points[:, 0] * far[1] != points[:, 1] * far[0]).any())


def _check_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> Rle:
    counts, of = segmentation.get("counts"), segmentation.get("size")
    if not isinstance(of, list) or of != list(size):
        raise DataError(
            f"run lengths are of size {shown(of)}, the photo is {list(size)} (height, width)"
        )
    if isinstance(counts, str):
        counts = unpack_runs(counts)
    if not isinstance(counts, list) or not all(
        type(number) is int and number >= 0 for number in counts
    ):
        raise DataError(
            "run lengths should be a list of whole numbers or COCO's compressed text, got "
            f"{shown(counts)}"
        )
    if sum(counts) != size[0] * size[1]:
        raise DataError(
            f"run lengths of {shown(sum(counts))} pixels do not cover {size[0]} x {size[1]} "
            "(height x width)"
        )
    return {"counts": counts, "size": list(size)}


def unpack_runs(text: str) -> list[int]:
    """Read run lengths from COCO's compressed string, to check them: pycocotools trusts their sum.

    A number is a row of characters from "0" on, 5 bits in each, the lowest first; bit 5 says that
    more follow, and bit 4 of the last is the sign. From the fourth on each number is the difference
    to the one two places before (github.com/cocodataset/cocoapi, common/maskApi.c, rleFrString).

    Raises:
        DataError: it ends within a number, holds other characters, or numbers beyond 32 bits.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - ord("0")
        if not 0 <= bits < 64:
            raise DataError(f"{shown(character)} does not occur in compressed run lengths")
        if shift > 30:
            raise DataError("compressed run lengths hold a number beyond 32 bits")
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


class Areas:
    """Draws checked areas by pycocotools."""

    def __init__(self) -> None:
        """Load pycocotools.

        Raises:
            MissingDependencyError: it is not installed.
        """
        self._api = require("pycocotools.mask", "coco")

    def draw(self, shapes: list[tuple[list[list[float]] | Rle, int]], labels: np.ndarray) -> None:
        """Draw areas into labels, the largest first, so that small things in front stay visible.

        Args:
            shapes: from `check_segmentation`, each with its class id.
            labels: (H, W) uint8 class ids, changed in place.
        """
        height, width = labels.shape
        found = []
        for shape, class_id in shapes:
            rle = self._api.frPyObjects(shape, height, width)
            rle = self._api.merge(rle) if isinstance(rle, list) else rle
            found.append((int(self._api.area(rle)), rle, class_id))
        for _, rle, class_id in sorted(found, key=lambda entry: -entry[0]):
            labels[self._api.decode(rle).astype(bool)] = class_id
