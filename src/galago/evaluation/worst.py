"""Worst: the photos that a model does worst on, kept while a data set goes by."""

from dataclasses import dataclass

import cv2
import numpy as np

from galago.data import Sample

KEPT = 8  # photos
LONGEST = 640  # pixels of a kept picture's longer side, so that memory and page stay small


@dataclass(frozen=True, eq=False)
class WorstSample:
    """One photo, made small.

    Attributes:
        name: of the sample.
        image: (H, W, 3) uint8 RGB.
        truth, guess: (H, W) uint8 labels.
        mean_iou: of the photo, over the classes that occur in it.
        wrong: share of its labeled pixels that have another class.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    guess: np.ndarray
    mean_iou: float
    wrong: float


class Worst:
    """Keeps the few photos of the lowest mean IoU.

    Attributes:
        photos: the worst one first.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.photos: list[WorstSample] = []
        self._kept = kept

    def add(self, sample: Sample, guess: np.ndarray, tallied: np.ndarray) -> None:
        """Look at one photo.

        Args:
            sample: photo and truth.
            guess: (H, W) uint8 predicted labels.
            tallied: (3, K + S) pixels found, true and claimed; a photo without a labeled pixel is
                passed over.
        """
        found, truth, claimed = tallied
        occurs = truth > 0
        if not occurs.any():
            return
        mean_iou = float((found / np.maximum(truth + claimed - found, 1))[occurs].mean())
        if len(self.photos) == self._kept and mean_iou >= self.photos[-1].mean_iou:
            return
        wrong = 1 - float(found.sum() / truth.sum())
        image, labels = small(sample.image, cv2.INTER_AREA), small(sample.labels, cv2.INTER_NEAREST)
        new = WorstSample(
            sample.name, image, labels, small(guess, cv2.INTER_NEAREST), mean_iou, wrong
        )
        self.photos = sorted([*self.photos, new], key=lambda photo: photo.mean_iou)[: self._kept]


def small(picture: np.ndarray, interpolation: int) -> np.ndarray:
    """Return a copy whose longer side has `LONGEST` pixels at most."""
    scale = LONGEST / max(picture.shape[:2])
    if scale >= 1:
        return picture.copy()
    height, width = (max(1, round(scale * side)) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=interpolation)
