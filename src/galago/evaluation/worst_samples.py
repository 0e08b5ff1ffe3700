"""The samples that a model does worst on, kept during evaluation."""

from dataclasses import dataclass

import cv2
import numpy as np

from galago.data import Sample
from galago.evaluation.label_counts import iou

MAX_SAMPLES = 8
LONGEST = 640  # pixels of a kept picture's longer side, so that memory and page stay small


@dataclass(frozen=True, eq=False)
class WorstSample:
    """One sample, resized to `LONGEST`.

    Attributes:
        name: of the sample.
        image: (H, W, 3) uint8 RGB.
        target, pred: (H, W) uint8 labels.
        mean_iou: of the image, over the classes that occur in it.
        wrong: share of its labeled pixels that have another class.
    """

    name: str
    image: np.ndarray
    target: np.ndarray
    pred: np.ndarray
    mean_iou: float
    wrong: float


class WorstSamples:
    """Keeps the few samples of the lowest mean IoU.

    Attributes:
        samples: the worst one first.
    """

    def __init__(self, max_samples: int = MAX_SAMPLES) -> None:
        self.samples: list[WorstSample] = []
        self._max_samples = max_samples

    def add(self, sample: Sample, pred: np.ndarray, counts: np.ndarray) -> None:
        """Keep a sample if it is among the worst.

        Args:
            sample: image and target.
            pred: (H, W) uint8 predicted labels.
            counts: (3, K + S) pixels from `class_counts`; an image without a labeled pixel is
                skipped.
        """
        occurs = counts[1] > 0
        if not occurs.any():
            return
        mean_iou = float(iou(counts)[occurs].mean())
        if len(self.samples) == self._max_samples and mean_iou >= self.samples[-1].mean_iou:
            return
        new = WorstSample(
            name=sample.name,
            image=_scaled_down(sample.image, cv2.INTER_AREA),
            target=_scaled_down(sample.labels, cv2.INTER_NEAREST),
            pred=_scaled_down(pred, cv2.INTER_NEAREST),
            mean_iou=mean_iou,
            wrong=1 - float(counts[0].sum() / counts[1].sum()),
        )
        ordered = sorted([*self.samples, new], key=lambda kept: kept.mean_iou)
        self.samples = ordered[: self._max_samples]


def _scaled_down(pixels: np.ndarray, interpolation: int) -> np.ndarray:
    """Return a copy whose longer side has `LONGEST` pixels at most."""
    scale = LONGEST / max(pixels.shape[:2])
    if scale >= 1:
        return pixels.copy()
    height, width = (max(1, round(scale * side)) for side in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=interpolation)
