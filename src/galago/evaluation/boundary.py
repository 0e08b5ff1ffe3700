"""Boundary IoU: the IoU near the outlines of each class, where IoU weighs all pixels alike."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from galago.evaluation.label_counts import iou

BAND_SHARE = 0.02  # of the image's diagonal: Cheng et al., arXiv:2103.16562, section 5.1
OUTSIDE = 255  # no class has this id


def band_width_px(size: tuple[int, int]) -> int:
    """Return how many pixels the band along an outline is wide in an image of (height, width)."""
    return max(1, round(BAND_SHARE * float(np.hypot(*size))))


def boundary_mask(labels: np.ndarray, known: np.ndarray, width_px: int) -> np.ndarray:
    """Return the pixels near an outline of their class: those that erosion by a square removes.

    A pixel stays where the square of 2 * width_px + 1 around it holds one class only. As in the
    authors' code the image's border is an outline, too; the border to unlabeled pixels is none,
    because their class is unknown.

    Args:
        labels: (H, W) uint8 class ids, up to 254.
        known: (H, W) bool, False where the ground truth is unlabeled.
        width_px: how wide the bands are.
    Returns:
        (H, W) bool; meaningful where `known` is True.
    """
    side = 2 * width_px + 1
    square = np.ones((side, side), np.uint8)
    extremes = []
    for find, neutral in ((cv2.erode, OUTSIDE), (cv2.dilate, 0)):
        shown = np.where(known, labels, np.uint8(neutral))
        framed = cv2.copyMakeBorder(shown, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(OUTSIDE,))
        extremes.append(find(framed, square)[1:-1, 1:-1])
    near: np.ndarray = extremes[0] != extremes[1]
    return near


def boundary_counts(target: np.ndarray, pred: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels near outlines of one image.

    Args:
        target: (H, W) uint8 labels; values >= num_classes mean "unlabeled" and are ignored.
        pred: (H, W) uint8 labels, all < num_classes.
        num_classes: K.
    Returns:
        (3, K) int64: for each class the pixels in the bands of both, of the target, and of the
            prediction.
    """
    height, width = target.shape
    known, band = target < num_classes, band_width_px((height, width))
    near_target, near_pred = (
        known & boundary_mask(labels, known, band) for labels in (target, pred)
    )
    shared = near_target & near_pred & (target == pred)
    inside = (target[shared], target[near_target], pred[near_pred])
    return np.stack([np.bincount(labels, minlength=num_classes) for labels in inside]).astype(
        np.int64
    )


@dataclass(frozen=True, eq=False)
class BoundaryScores:
    """Boundary IoU of a data set: Cheng et al., arXiv:2103.16562, equation 2, its pixels summed
    over all images.

    Attributes:
        names: one per class, K.
        counts: (3, K) int64, what `boundary_counts` gives, summed.
    """

    names: tuple[str, ...]
    counts: np.ndarray

    @property
    def iou(self) -> tuple[float | None, ...]:
        """Boundary IoU of each class; None where the class has no pixel in the ground truth."""
        scores = zip(iou(self.counts).tolist(), self.counts[1], strict=True)
        return tuple(score if in_target else None for score, in_target in scores)

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that occur in the ground truth."""
        present = [value for value in self.iou if value is not None]
        return sum(present) / len(present)

    def summary(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        return {
            "mean_iou": self.mean_iou,
            "band": BAND_SHARE,
            "classes": dict(zip(self.names, self.iou, strict=True)),
        }
