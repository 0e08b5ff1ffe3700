"""Calibration: whether a class predicted with a probability of 90 % is right in 90 % of pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 15  # Guo et al., arXiv:1706.04599, section 5


def calibration_counts(
    target: np.ndarray, pred: np.ndarray, confidence: np.ndarray, num_classes: int
) -> np.ndarray:
    """Count the labeled pixels of one image in bins of their predicted class's probability.

    Args:
        target: (H, W) uint8 labels; values >= num_classes mean "unlabeled" and are ignored.
        pred: (H, W) uint8 labels.
        confidence: (H, W) float32, 0 to 1.
        num_classes: K.
    Returns:
        (3, BINS) float64: pixels, the sum of their confidence, and the pixels that are right. Bin m
            holds confidences above m / BINS, up to (m + 1) / BINS.
    """
    known = target < num_classes
    probs = confidence[known].astype(np.float64)
    right = pred[known] == target[known]
    bins = np.clip(np.ceil(probs * BINS).astype(int) - 1, 0, BINS - 1)
    weights = (np.ones_like(probs), probs, right)
    return np.stack([np.bincount(bins, weights=values, minlength=BINS) for values in weights])


@dataclass(frozen=True, eq=False)
class Calibration:
    """The gap between confidence and accuracy in a data set.

    Attributes:
        counts: (3, BINS) float64, what `calibration_counts` gives, summed; at least one pixel.
    """

    counts: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1: the gap in each bin, weighted by its pixels.

        Guo et al., equation 3.
        """
        pixels, confidence, right = self.counts
        return float(np.abs(right - confidence).sum() / pixels.sum())

    @property
    def mean_confidence(self) -> float:
        """Mean probability of the predicted class.

        Above the pixel accuracy, the network is overconfident.
        """
        return float(self.counts[1].sum() / self.counts[0].sum())

    def summary(self) -> dict[str, Any]:
        """Return all scores as JSON values; a bin without a pixel is left out."""
        return {
            "error": self.error,
            "mean_confidence": self.mean_confidence,
            "bins": [
                {
                    "up_to": (index + 1) / BINS,
                    "pixels": int(pixels),
                    "confidence": confidence / pixels,
                    "accuracy": right / pixels,
                }
                for index, (pixels, confidence, right) in enumerate(self.counts.T.tolist())
                if pixels
            ],
        }
