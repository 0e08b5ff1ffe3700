"""Scores from one confusion matrix over a whole data set."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from galago.errors import ConfigError, DataError
from galago.evaluation.label_counts import by_label, class_counts, iou, right_classes
from galago.labels import ClassSet, LabelSet

RESAMPLES = 1000
LEVEL = 0.95  # share of the resamples inside the interval


def mean_iou_interval(counts_per_image: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Return a bootstrap interval of the mean IoU over images.

    Images are drawn with replacement, as many as there are, and each draw is scored as a data set.
    The interval is the percentile one: Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, section 13.3. Images count as independent; those of one drive are not, and the true
    interval is wider then.

    Args:
        counts_per_image: (N, 3, K) pixels, `class_counts` of each image; at least one image with a
            labeled pixel.
        seed: of the draws; the same one gives the same interval.
    Returns:
        lower and upper end.
    """
    num_images, _, num_classes = counts_per_image.shape
    draws = np.random.default_rng(seed).multinomial(
        num_images, np.full(num_images, 1 / num_images), size=RESAMPLES
    )
    flat = counts_per_image.reshape(num_images, -1).astype(np.float64)
    sums = (draws.astype(np.float64) @ flat).reshape(RESAMPLES, 3, num_classes).transpose(1, 0, 2)
    occurs = sums[1] > 0
    labeled = occurs.any(axis=1)  # a draw of images without any label says nothing
    means = iou(sums)[labeled].sum(axis=1) / occurs[labeled].sum(axis=1)
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(lower), float(upper)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a confusion matrix.

    TP, FP and FN are the pixels of a class that are right, wrongly predicted and missed, summed
    over the whole data set. The score of a class is None where the class has no pixel in the ground
    truth. Unlabeled pixels are ignored.

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
    def of(cls, label_set: LabelSet, counts: np.ndarray) -> "Scores":
        """Score counted labels.

        Args:
            label_set: classes and sets.
            counts: (K + S, K) int64 pixels by true label and predicted class, from `label_counts`.
        """
        rows, sets, excused = by_label(label_set, counts)
        classes = len(label_set)
        return cls(label_set.names, rows[:classes], sets, rows[classes:] if sets else None, excused)

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
        true_positives, target = self._counts[:2, len(self.names) :]
        return _present(target, true_positives / np.maximum(target, 1))

    @property
    def set_share(self) -> tuple[float, ...]:
        """Share of each set in the labeled pixels of the ground truth."""
        return tuple((self._counts[1, len(self.names) :] / self._counts[1].sum()).tolist())

    @property
    def dice(self) -> tuple[float | None, ...]:
        """Dice coefficient, also called F1, of each class: 2 TP / (2 TP + FP + FN)."""
        return _present(
            self._target, 2 * self._true_positives / np.maximum(self._target + self._predicted, 1)
        )

    @property
    def accuracy(self) -> tuple[float | None, ...]:
        """Share of each class's pixels that is predicted right, or recall: TP / (TP + FN)."""
        return _present(self._target, self._true_positives / np.maximum(self._target, 1))

    @property
    def share(self) -> tuple[float, ...]:
        """Share of each class in the labeled pixels of the ground truth.

        With those of the sets they sum to 1.
        """
        return tuple((self._target / self._counts[1].sum()).tolist())

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
        occurs = (self._target + self._predicted) > 0
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
        """Share of all labeled pixels whose class is predicted right."""
        return float(self._counts[0].sum() / self._counts[1].sum())

    def summary(self) -> dict[str, Any]:
        """Return all scores as JSON values: numbers from 0 to 1, None for n/a.

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
                {"name": name, "iou": score, "accuracy": accuracy, "dice": dice, "share": share}
                for name, score, accuracy, dice, share in columns
            ],
            "confusion": self.confusion.tolist(),
        } | self._set_summary()

    def _set_summary(self) -> dict[str, Any]:
        if not self.sets and not self.excused:
            return {}
        columns = zip(self.sets, self.set_iou, self.set_accuracy, self.set_share, strict=True)
        sets = [
            {
                "name": class_set.name,
                "classes": [self.names[index] for index in class_set.classes],
                "iou": set_iou,
                "accuracy": accuracy,
                "share": share,
            }
            for class_set, set_iou, accuracy, share in columns
        ]
        return {"sets": sets, "excused": self.excused}

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
    def _counts(self) -> np.ndarray:
        return class_counts(*self._rows)  # (3, K + S): TP, TP + FN, TP + FP

    @property
    def _all_iou(self) -> tuple[float | None, ...]:
        return _present(self._counts[1], iou(self._counts))

    @property
    def _true_positives(self) -> np.ndarray:
        true_positives: np.ndarray = self._counts[0, : len(self.names)]
        return true_positives

    @property
    def _target(self) -> np.ndarray:
        target: np.ndarray = self._counts[1, : len(self.names)]
        return target

    @property
    def _predicted(self) -> np.ndarray:
        predicted: np.ndarray = self._counts[2, : len(self.names)]
        return predicted


def _present(target: np.ndarray, values: np.ndarray) -> tuple[float | None, ...]:
    """Replace the value of a class without a true pixel by None."""
    return tuple(
        value if pixels else None for value, pixels in zip(values.tolist(), target, strict=True)
    )


def _mean(values: Iterable[float | None]) -> float:
    """Average what is not None."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else 0.0
