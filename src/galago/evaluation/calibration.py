"""Calibration: whether a class that is given with 90 percent is right in 90 of 100 pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 15  # Guo et al., arXiv:1706.04599, section 5


def calibration_counts(
    truth: np.ndarray, guess: np.ndarray, confidence: np.ndarray, num_classes: int
) -> np.ndarray:
    """Sort the labeled pixels of one photo by the probability of their predicted class.

    Args:
        truth: (H, W) uint8 labels; values >= num_classes mean "unlabeled" and do not count.
        guess: (H, W) uint8 labels.
        confidence: (H, W) float32, 0 to 1.
        num_classes: K.
    Returns:
        (3, BINS) float64: pixels, the sum of their confidence, and those that are right. Bin m
            holds what is above m / BINS, up to (m + 1) / BINS.
    """
    known = truth < num_classes
    sure, right = confidence[known].astype(np.float64), guess[known] == truth[known]
    bins = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    return np.stack(
        [
            np.bincount(bins, weights=values, minlength=BINS)
            for values in (np.ones_like(sure), sure, right)
        ]
    )


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far confidence and accuracy are apart in a data set.

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

        Above the pixel accuracy, the network is too sure of itself.
        """
        return float(self.counts[1].sum() / self.counts[0].sum())

    def summary(self) -> dict[str, Any]:
        """Return all as JSON knows it; a bin without a pixel is left out."""
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
