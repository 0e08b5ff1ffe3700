"""How far two outputs for one image are apart, and how far they may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from galago.errors import ModelError
from galago.runtime.segmenter import Segmenter

# pixels on either side of a border between classes, which logits at stride 8 blur by as much
BORDER = 4


@dataclass(frozen=True)
class Tolerance:
    """What a precision may cost.

    Attributes:
        relative_error: largest L2 error of logits over the L2 norm of the reference's.
        labels: smallest share of equal labels.
        layer_error: relative error of an intermediate map, from which on a layer differs: ten times
            the largest one in correct files.
        mean_iou_drop: largest loss of mean IoU on labeled photos.
    """

    relative_error: float
    labels: float
    layer_error: float
    mean_iou_drop: float


# float32: the same sums in another order. float16: its rounding, 2^-11, through some fifty layers.
# int8: enough to tell a working file from a broken one; its accuracy takes labeled images.
TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(1e-4, 0.9999, 1e-5, 0.0005),
    "float16": Tolerance(1e-2, 0.995, 5e-3, 0.002),
    "bfloat16": Tolerance(5e-2, 0.98, 5e-2, 0.005),
    "int8": Tolerance(3e-1, 0.95, 5e-1, 0.005),
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a file's output for one image is from the reference's.

    Attributes:
        relative_error: L2 error of logits over the L2 norm of the reference's; None where the file
            gives labels.
        largest, mean: absolute error of logits; None where the file gives labels.
        not_finite: how many logits are NaN or infinite.
        labels: share of equal labels; 0 where a logit is not finite, as then there are none.
        inside: the same away from borders between classes; None where there are only borders.
    """

    relative_error: float | None
    largest: float | None
    mean: float | None
    not_finite: int
    labels: float
    inside: float | None

    def failures(self, allowed: Tolerance) -> list[str]:
        """Return what is out of tolerance, as sentences."""
        failures = []
        if self.not_finite:
            failures.append(f"{self.not_finite:,} logits are not finite")
        elif self.relative_error is not None and not self.relative_error <= allowed.relative_error:
            failures.append(
                f"logits are off by {self.relative_error:.1e} (at most "
                f"{allowed.relative_error:.0e})"
            )
        if not self.not_finite and self.labels < allowed.labels:
            failures.append(
                f"{self.labels:.3%} of labels are equal (at least {allowed.labels:.2%})"
            )
        return failures


def compare(
    segmenter: Segmenter, image: np.ndarray, logits: np.ndarray, labels: np.ndarray
) -> tuple[Difference, np.ndarray]:
    """Run a file on an image and compare its output with the expected one.

    Args:
        segmenter: the file in its engine.
        image: (H, W, 3) uint8 RGB.
        logits: (K, h, w) float32, expected.
        labels: (H, W) uint8, expected.
    Returns:
        the difference, and the labels of the file, (H, W) uint8.
    Raises:
        ModelError: the engine cannot run the file, or its output has another shape.
    """
    of_logits: dict[str, Any] = {
        "relative_error": None,
        "largest": None,
        "mean": None,
        "not_finite": 0,
    }
    if segmenter.spec.output == "logits":
        given = segmenter.engine.run(image[None])[0].copy()
        if given.shape != logits.shape:
            raise ModelError(
                f"gives logits of shape {given.shape}, the trained network {logits.shape}"
            )
        of_logits = compare_logits(logits, given)
    if of_logits["not_finite"]:
        return Difference(**of_logits, labels=0.0, inside=0.0), np.zeros_like(labels)
    given_labels = segmenter(image).labels
    of_labels: dict[str, Any] = compare_labels(labels, given_labels)
    return Difference(**of_logits, **of_labels), given_labels


def compare_logits(expected: np.ndarray, given: np.ndarray) -> dict[str, float | int]:
    """Return the differences of two (K, h, w) float32 outputs, as in `Difference`."""
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
    """Return the share of equal labels of two (H, W) uint8 label maps, of all pixels and of those
    away from borders of the expected one.
    """
    equal = expected == given
    away = ~borders(expected)
    return {
        "labels": float(equal.mean()),
        "inside": float(equal[away].mean()) if away.any() else None,
    }


def borders(labels: np.ndarray) -> np.ndarray:
    """Return where another class of an (H, W) label map is within `BORDER` pixels: (H, W) bool."""
    kernel = np.ones((2 * BORDER + 1, 2 * BORDER + 1), np.uint8)
    near: np.ndarray = cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)
    return near


def find_shift(expected: np.ndarray, given: np.ndarray) -> tuple[int, int] | None:
    """Return by how many (rows, columns), one at most, a label map is shifted; None if a shift
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
