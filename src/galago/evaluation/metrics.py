"""Scores from one confusion matrix over a whole data set."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from galago.errors import ConfigError, DataError


def confusion(truth: np.ndarray, guess: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth: (H, W) uint8 labels; values >= num_classes mean "unlabeled" and do not count.
        guess: (H, W) uint8 labels, all < num_classes.
        num_classes: K.
    Returns:
        (K, K) int64: rows are true classes, columns predicted ones.
    Raises:
        DataError: the two differ in shape, or the guess holds an id >= num_classes.
    """
    if truth.shape != guess.shape:
        raise DataError(f"Expected predicted labels of the mask's shape {truth.shape}, got {guess.shape}.")
    if guess.size and guess.max() >= num_classes:
        raise DataError(f"Expected predicted labels 0 to {num_classes - 1}, got {guess.max()}. Is the model for other classes?")
    labeled = truth < num_classes
    pairs = num_classes * truth[labeled].astype(np.int64) + guess[labeled]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says.

    TP, FP and FN are the pixels of a class that are found, claimed wrongly and missed, summed over the whole data set. The
    score of a class is None where the class has no pixel in the ground truth. Unlabeled pixels count nowhere.

    Attributes:
        names: one per class, K.
        confusion: (K, K) int64 pixels: rows are true classes, columns predicted ones; at least one pixel.
    """

    names: tuple[str, ...]
    confusion: np.ndarray

    def __post_init__(self) -> None:
        shape, num_classes = self.confusion.shape, len(self.names)
        if shape != (num_classes, num_classes):
            raise ConfigError(f"Expected a {num_classes} x {num_classes} confusion matrix for as many names, got shape {shape}.")
        if not self.confusion.any():
            raise DataError("There is nothing to score: no pixel of the data set carries a class. Check ids and label_mapping.")

    @property
    def iou(self) -> tuple[float | None, ...]:
        """Intersection over union of each class: TP / (TP + FP + FN)."""
        return _present(self._truth, self._found / np.maximum(self._truth + self._claimed - self._found, 1))

    @property
    def dice(self) -> tuple[float | None, ...]:
        """Dice coefficient, also called F1, of each class: 2 TP / (2 TP + FP + FN)."""
        return _present(self._truth, 2 * self._found / np.maximum(self._truth + self._claimed, 1))

    @property
    def accuracy(self) -> tuple[float | None, ...]:
        """Share of each class's pixels that is found, also called recall: TP / (TP + FN)."""
        return _present(self._truth, self._found / np.maximum(self._truth, 1))

    @property
    def share(self) -> tuple[float, ...]:
        """Share of each class in the labeled pixels of the ground truth; they sum to 1."""
        return tuple((self._truth / self._truth.sum()).tolist())

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that occur in the ground truth."""
        return _mean(self.iou)

    @property
    def mean_iou_all_classes(self) -> float:
        """Mean IoU in the other common convention: over the classes that occur in the ground truth or in a prediction.

        A class that is predicted but absent from the ground truth counts as 0; one that occurs in neither is left out.
        """
        occurs = (self._truth + self._claimed) > 0
        return sum(value or 0.0 for value in self.iou) / int(occurs.sum())

    @property
    def mean_accuracy(self) -> float:
        """Mean of `accuracy` over the classes that occur in the ground truth."""
        return _mean(self.accuracy)

    @property
    def mean_dice(self) -> float:
        """Mean of `dice` over the classes that occur in the ground truth."""
        return _mean(self.dice)

    @property
    def pixel_accuracy(self) -> float:
        """Share of all labeled pixels whose class is found."""
        return float(self._found.sum() / self._truth.sum())

    def summary(self) -> dict[str, Any]:
        """Return all scores as JSON knows them: numbers from 0 to 1, None for n/a."""
        columns = zip(self.names, self.iou, self.accuracy, self.dice, self.share, strict=True)
        return {
            "mean_iou": self.mean_iou,
            "mean_iou_all_classes": self.mean_iou_all_classes,
            "pixel_accuracy": self.pixel_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "mean_dice": self.mean_dice,
            "classes": [
                {"name": name, "iou": iou, "accuracy": accuracy, "dice": dice, "share": share}
                for name, iou, accuracy, dice, share in columns
            ],
            "confusion": self.confusion.tolist(),
        }

    @property
    def _found(self) -> np.ndarray:
        return np.diag(self.confusion)  # TP

    @property
    def _truth(self) -> np.ndarray:
        pixels: np.ndarray = self.confusion.sum(axis=1)  # TP + FN
        return pixels

    @property
    def _claimed(self) -> np.ndarray:
        pixels: np.ndarray = self.confusion.sum(axis=0)  # TP + FP
        return pixels


def _present(truth: np.ndarray, values: np.ndarray) -> tuple[float | None, ...]:
    """Replace the value of a class without a true pixel by None."""
    return tuple(value if pixels else None for value, pixels in zip(values.tolist(), truth, strict=True))


def _mean(values: Iterable[float | None]) -> float:
    """Average what is not None."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present)
