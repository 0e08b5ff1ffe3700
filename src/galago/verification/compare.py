"""How far apart two outputs for one photo are, and how far they may be."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

# pixels on either side of a border between classes; an eighth of resolution blurs it by as much
BORDER = 4


@dataclass(frozen=True)
class Tolerance:
    """What a precision may cost.

    Attributes:
        relative_error: largest L2 error of logits over the L2 norm of the reference's.
        labels: smallest share of equal labels.
        stage_error: relative error of an intermediate map, from which on a stage counts as another
            one: ten times what files that are right have at most.
        mean_iou_drop: largest loss of mean IoU on labeled photos.
    """

    relative_error: float
    labels: float
    stage_error: float
    mean_iou_drop: float


# float32: the same sums in another order. float16: its rounding, 2^-11, through some fifty layers.
# int8: enough to tell a working file from a broken one; how good it is, only labeled photos tell.
TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(1e-4, 0.9999, 1e-5, 0.0005),
    "float16": Tolerance(1e-2, 0.995, 5e-3, 0.002),
    "bfloat16": Tolerance(5e-2, 0.98, 5e-2, 0.005),
    "int8": Tolerance(3e-1, 0.95, 5e-1, 0.005),
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a file's output for one photo is worth beside the reference's.

    Attributes:
        relative_error: L2 error of logits over the L2 norm of the reference's; None where the file
            gives labels.
        largest, mean: absolute error of logits; None where the file gives labels.
        not_finite: how many logits are NaN or infinite.
        labels: share of equal labels; 0 where a logit is not finite, as then there are none.
        inside: the same away from borders between classes; None where there is nothing but borders.
    """

    relative_error: float | None
    largest: float | None
    mean: float | None
    not_finite: int
    labels: float
    inside: float | None

    def faults(self, allowed: Tolerance) -> list[str]:
        """Say in words what is out of tolerance."""
        found = []
        if self.not_finite:
            found.append(f"{self.not_finite:,} logits are not finite")
        elif self.relative_error is not None and not self.relative_error <= allowed.relative_error:
            found.append(
                f"logits are off by {self.relative_error:.1e} (at most "
                f"{allowed.relative_error:.0e})"
            )
        if not self.not_finite and self.labels < allowed.labels:
            found.append(f"{self.labels:.3%} of labels are equal (at least {allowed.labels:.2%})")
        return found


def compare_logits(expected: np.ndarray, given: np.ndarray) -> dict[str, float | int]:
    """Compare two (K, h, w) float32 outputs."""
    finite = np.isfinite(given)
    if not finite.all():
        return {
            "relative_error": float("nan"),
            "largest": float("nan"),
            "mean": float("nan"),
            "not_finite": int((~finite).sum()),
        }
    error = np.abs(given.astype(np.float64) - expected)
    norm = float(np.linalg.norm(expected)) or 1.0
    return {
        "relative_error": float(np.linalg.norm(error) / norm),
        "largest": float(error.max()),
        "mean": float(error.mean()),
        "not_finite": 0,
    }


def compare_labels(expected: np.ndarray, given: np.ndarray) -> dict[str, float | None]:
    """Compare two (H, W) uint8 label maps: all pixels, and those away from borders of the expected
    one.
    """
    equal = expected == given
    away = ~borders(expected)
    return {
        "labels": float(equal.mean()),
        "inside": float(equal[away].mean()) if away.any() else None,
    }


def borders(labels: np.ndarray) -> np.ndarray:
    """Tell for each pixel of an (H, W) label map whether another class is within `BORDER` pixels."""
    kernel = np.ones((2 * BORDER + 1, 2 * BORDER + 1), np.uint8)
    near: np.ndarray = cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)
    return near


def find_shift(expected: np.ndarray, given: np.ndarray) -> tuple[int, int] | None:
    """Return by how many (rows, columns), one at most, a label map has moved, None where moving
    explains nothing.
    """
    inner = expected[1:-1, 1:-1]
    height, width = inner.shape
    share = {
        (down, across): float(
            (given[1 + down : 1 + down + height, 1 + across : 1 + across + width] == inner).mean()
        )
        for down in (-1, 0, 1)
        for across in (-1, 0, 1)
    }
    best = max(share, key=share.__getitem__)
    return best if best != (0, 0) and 1 - share[best] < 0.1 * (1 - share[0, 0]) else None
