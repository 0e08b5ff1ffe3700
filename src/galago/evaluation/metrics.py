"""Scores from one confusion matrix over a whole data set."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from galago.errors import ConfigError, DataError
from galago.evaluation.label_counts import by_label, right_classes, tally
from galago.labels import ClassSet, LabelSet

RESAMPLES = 1000
LEVEL = 0.95  # share of the resamples inside the interval


def mean_iou_interval(tallies: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Draw as many photos as there are, with replacement, again and again, and score each draw as a
    data set.

    The interval is the percentile one: Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, section 13.3. Photos count as independent; those of one drive are not, and the truth is
    wider then.

    Args:
        tallies: (N, 3, K) pixels, one `label_counts.tally` per photo; at least one photo with a
            labeled pixel.
        seed: of the draws; the same one gives the same interval.
    Returns:
        lower and upper end.
    """
    photos, _, num_classes = tallies.shape
    draws = (
        np.random.default_rng(seed)
        .multinomial(photos, np.full(photos, 1 / photos), size=RESAMPLES)
        .astype(np.float64)
    )
    sums = (draws @ tallies.reshape(photos, -1).astype(np.float64)).reshape(
        RESAMPLES, 3, num_classes
    )
    found, truth, claimed = sums.transpose(1, 0, 2)
    occurs = truth > 0
    iou = np.where(occurs, found / np.maximum(truth + claimed - found, 1), 0)
    labeled = occurs.any(axis=1)  # a draw of photos without any label says nothing
    means = iou[labeled].sum(axis=1) / occurs[labeled].sum(axis=1)
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(lower), float(upper)


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
        raise DataError(
            f"Expected predicted labels of the mask's shape {truth.shape}, got {guess.shape}."
        )
    if guess.size and guess.max() >= num_classes:
        raise DataError(
            f"Expected predicted labels 0 to {num_classes - 1}, got {guess.max()}. Is the model "
            "for other classes?"
        )
    labeled = truth < num_classes
    pairs = num_classes * truth[labeled].astype(np.int64) + guess[labeled]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says.

    TP, FP and FN are the pixels of a class that are found, claimed wrongly and missed, summed over
    the whole data set. The score of a class is None where the class has no pixel in the ground
    truth. Unlabeled pixels count nowhere.

    A label that stands for several classes is a row of its own beside the classes. A prediction
    among its classes is right: a TP of the row, and nothing else. Any other is a FN of the row, a
    FP of the predicted class, and a FP of every other set that holds that class. Means are over
    classes and sets that occur. A set without a pixel in the ground truth is left out.

    Attributes:
        names: one per class, K.
        confusion: (K, K) int64 pixels of one class: rows are true classes, columns predicted ones.
        sets: what labels stand for that name several classes, S.
        set_confusion: (S, K) int64 pixels of these; at least one pixel in both together.
        excused: pixels that are not counted, because a class was predicted that the masks cannot
            show there.
    """

    names: tuple[str, ...]
    confusion: np.ndarray
    sets: tuple[ClassSet, ...] = ()
    set_confusion: np.ndarray | None = None
    excused: int = 0

    def __post_init__(self) -> None:
        shape, num_classes = self.confusion.shape, len(self.names)
        if shape != (num_classes, num_classes):
            raise ConfigError(
                f"Expected a {num_classes} x {num_classes} confusion matrix for as many names, got "
                f"shape {shape}."
            )
        rows = (len(self.sets), num_classes)
        if self.set_confusion is not None and self.set_confusion.shape != rows:
            raise ConfigError(
                f"Expected a matrix of shape {rows} for the sets, got shape "
                f"{self.set_confusion.shape}."
            )
        if not self._rows[0].any():
            raise DataError(
                "There is nothing to score: no pixel of the data set carries a class. Check ids "
                "and label_mapping."
            )

    @classmethod
    def of(cls, labels: LabelSet, counts: np.ndarray) -> "Scores":
        """Score counted labels.

        Args:
            labels: classes and sets.
            counts: (K + S, K) int64 pixels by true label and predicted class, from `label_counts`.
        """
        rows, sets, excused = by_label(labels, counts)
        classes = len(labels)
        return cls(labels.names, rows[:classes], sets, rows[classes:] if sets else None, excused)

    @property
    def iou(self) -> tuple[float | None, ...]:
        """Intersection over union of each class: TP / (TP + FP + FN)."""
        return self._all_iou[: len(self.names)]

    @property
    def set_iou(self) -> tuple[float | None, ...]:
        """Intersection over union of each set of classes."""
        return self._all_iou[len(self.names) :]

    @property
    def set_accuracy(self) -> tuple[float | None, ...]:
        """Share of the pixels of each set for which one of its classes is predicted."""
        found, truth, _ = self._tally[:, len(self.names) :]
        return _present(truth, found / np.maximum(truth, 1))

    @property
    def set_share(self) -> tuple[float, ...]:
        """Share of each set in the labeled pixels of the ground truth."""
        return tuple((self._tally[1, len(self.names) :] / self._tally[1].sum()).tolist())

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
        """Share of each class in the labeled pixels of the ground truth.

        With those of the sets they sum to 1.
        """
        return tuple((self._truth / self._tally[1].sum()).tolist())

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` and `set_iou` over the classes and sets that occur in the ground truth."""
        return _mean(self._all_iou)

    @property
    def mean_iou_all_classes(self) -> float:
        """Mean IoU in the other common convention: over the classes that occur in the ground truth
        or in a prediction.

        A class that is predicted but absent from the ground truth counts as 0; one that occurs in
        neither is left out.
        """
        occurs = (self._truth + self._claimed) > 0
        return sum(value or 0.0 for value in self._all_iou) / (int(occurs.sum()) + len(self.sets))

    @property
    def mean_accuracy(self) -> float:
        """Mean of `accuracy` over the classes and sets that occur in the ground truth."""
        return _mean((*self.accuracy, *self.set_accuracy))

    @property
    def mean_dice(self) -> float:
        """Mean of `dice` over the classes that occur in the ground truth.

        0 where only sets occur.
        """
        return _mean(self.dice)

    @property
    def pixel_accuracy(self) -> float:
        """Share of all labeled pixels whose class is found."""
        return float(self._tally[0].sum() / self._tally[1].sum())

    def summary(self) -> dict[str, Any]:
        """Return all scores as JSON knows them: numbers from 0 to 1, None for n/a.

        `sets` where there are any.
        """
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
        } | self._set_summary()

    def _set_summary(self) -> dict[str, Any]:
        if not self.sets and not self.excused:
            return {}
        columns = zip(self.sets, self.set_iou, self.set_accuracy, self.set_share, strict=True)
        return {
            "sets": [
                {
                    "name": found.name, "classes": [self.names[index] for index in found.classes],
                    "iou": iou, "accuracy": accuracy, "share": share,
                }
                for found, iou, accuracy, share in columns
            ],
            "excused": self.excused,
        }  # fmt: skip

    @property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of each row, and which classes are right there: (K + S, K) int64 and bool."""
        extra = (
            np.zeros((0, len(self.names)), np.int64)
            if self.set_confusion is None
            else self.set_confusion
        )
        return np.concatenate([self.confusion, extra]), right_classes(len(self.names), self.sets)

    @cached_property
    def _tally(self) -> np.ndarray:
        return tally(*self._rows)  # (3, K + S): TP, TP + FN, TP + FP

    @property
    def _all_iou(self) -> tuple[float | None, ...]:
        found, truth, claimed = self._tally
        return _present(truth, found / np.maximum(truth + claimed - found, 1))

    @property
    def _found(self) -> np.ndarray:
        found: np.ndarray = self._tally[0, : len(self.names)]
        return found

    @property
    def _truth(self) -> np.ndarray:
        truth: np.ndarray = self._tally[1, : len(self.names)]
        return truth

    @property
    def _claimed(self) -> np.ndarray:
        claimed: np.ndarray = self._tally[2, : len(self.names)]
        return claimed


def _present(truth: np.ndarray, values: np.ndarray) -> tuple[float | None, ...]:
    """Replace the value of a class without a true pixel by None."""
    return tuple(
        value if pixels else None for value, pixels in zip(values.tolist(), truth, strict=True)
    )


def _mean(values: Iterable[float | None]) -> float:
    """Average what is not None."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else 0.0
