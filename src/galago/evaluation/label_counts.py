"""Counting pixels by label and prediction, where a label may stand for several classes."""

import numpy as np

from galago.errors import DataError
from galago.labels import IGNORE_ID, ClassSet, LabelSet


def label_counts(truth: np.ndarray, guess: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Count pixels by true label and predicted class.

    Args:
        truth: (H, W) uint8 labels of K classes and S sets; values >= K + S mean "unlabeled" and do
            not count.
        guess: (H, W) uint8 class ids, all < K.
        labels: classes and sets.
    Returns:
        (K + S, K) int64.
    Raises:
        DataError: the two differ in shape, or the guess holds an id >= K.
    """
    num_classes, rows = len(labels), len(labels) + len(labels.sets)
    if truth.shape != guess.shape:
        raise DataError(
            f"Expected predicted labels of the mask's shape {truth.shape}, got {guess.shape}."
        )
    if guess.size and guess.max() >= num_classes:
        raise DataError(
            f"Expected predicted labels 0 to {num_classes - 1}, got {guess.max()}. Is the model "
            "for other classes?"
        )
    labeled = truth < rows
    pairs = num_classes * truth[labeled].astype(np.int64) + guess[labeled]
    return np.bincount(pairs, minlength=rows * num_classes).reshape(rows, num_classes)


def by_label(labels: LabelSet, counts: np.ndarray) -> tuple[np.ndarray, tuple[ClassSet, ...], int]:
    """Take out what is excused, and join what differs only in the classes that it may hide.

    A prediction that a label may hide is excused: it is no evidence for or against anything.

    Args:
        labels: classes and sets.
        counts: (K + S, K) pixels by true label and predicted class.
    Returns:
        (K + S', K) int64 counts of the classes and of the sets of several classes, these sets, and
        the excused pixels.
    """
    if not labels.sets:
        return counts, (), 0
    num_classes = len(labels)
    rows: dict[tuple[int, ...], np.ndarray] = {
        (index,): counts[index].copy() for index in range(num_classes)
    }
    sets: dict[tuple[int, ...], ClassSet] = {}
    excused = 0
    for found, row in zip(labels.sets, counts[num_classes:], strict=True):
        counted = row.copy()
        counted[list(found.hidden)] = 0
        excused += int(row.sum() - counted.sum())
        if len(found.classes) > 1:
            sets.setdefault(found.classes, ClassSet(found.name, found.classes))
        rows[found.classes] = rows.get(found.classes, 0) + counted
    return np.stack(list(rows.values())), tuple(sets.values()), excused


def right_classes(num_classes: int, sets: tuple[ClassSet, ...]) -> np.ndarray:
    """Tell which predicted classes are right for each class and set: (K + S, K) bool."""
    right = np.zeros((num_classes + len(sets), num_classes), bool)
    right[np.arange(num_classes), np.arange(num_classes)] = True
    for row, found in zip(right[num_classes:], sets, strict=True):
        row[list(found.classes)] = True
    return right


def tally(rows: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    """Keep of counts what IoU is made from.

    Args:
        rows: (R, K) pixels of each class or set by predicted class.
        right: (R, K) bool: which predictions are right; without it, those of the row's own class.
    Returns:
        (3, R) pixels found, true, and claimed: found and what others lost to a class of the row.
    """
    right = np.eye(len(rows), dtype=bool) if right is None else right
    found = (rows * right).sum(axis=1)
    lost = (rows * ~right).sum(
        axis=0
    )  # by predicted class; nothing of a row's own is lost to its classes
    return np.stack([found, rows.sum(axis=1), found + right @ lost])


def settle(
    truth: np.ndarray, guess: np.ndarray, labels: LabelSet, *, sets: bool = True
) -> np.ndarray:
    """Return the true class of each pixel as far as it can be told beside a prediction.

    Where a label stands for several classes, that is the predicted class if it is among them, else
    the first of them.

    Args:
        truth: (H, W) uint8 labels of classes and sets.
        guess: (H, W) uint8 class ids.
        labels: classes and sets.
        sets: whether labels of several classes are settled; they become 255 else.
    Returns:
        (H, W) uint8 class ids; 255 where the label is ignored or the prediction excused.
    """
    if not labels.sets:
        return truth
    num_classes = len(labels)
    table = np.full((256, num_classes), IGNORE_ID, np.uint8)
    table[:num_classes] = np.arange(num_classes)[:, None]
    for row, found in zip(table[num_classes:], labels.sets, strict=False):
        if len(found.classes) == 1 or sets:
            row[:] = found.classes[0]
            row[list(found.classes)] = found.classes
        row[list(found.hidden)] = IGNORE_ID
    settled: np.ndarray = table[truth, guess]
    return settled
