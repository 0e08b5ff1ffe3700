"""Counting pixels by label and prediction, where a label may stand for several classes."""

import numpy as np

from galago.errors import DataError
from galago.labels import IGNORE_ID, ClassSet, LabelSet


def confusion(
    target: np.ndarray, pred: np.ndarray, num_classes: int, *, num_sets: int = 0
) -> np.ndarray:
    """Count pixels by true label and predicted class.

    Args:
        target: (H, W) uint8 labels; values >= num_classes + num_sets mean "unlabeled" and are
            ignored.
        pred: (H, W) uint8 class ids, all < num_classes.
        num_classes: K.
        num_sets: S, labels that stand for several classes.
    Returns:
        (K + S, K) int64: rows are true classes and sets, columns predicted classes.
    Raises:
        DataError: the two differ in shape, or the prediction holds an id >= num_classes.
    """
    if target.shape != pred.shape:
        raise DataError(
            f"Expected predicted labels of the mask's shape {target.shape}, got {pred.shape}."
        )
    if pred.size and pred.max() >= num_classes:
        raise DataError(
            f"Expected predicted labels 0 to {num_classes - 1}, got {pred.max()}. Is the model "
            "for other classes?"
        )
    num_labels = num_classes + num_sets
    labeled = target < num_labels
    cells = num_classes * target[labeled].astype(np.int64) + pred[labeled]
    counts = np.bincount(cells, minlength=num_labels * num_classes)
    return counts.reshape(num_labels, num_classes)


def label_counts(target: np.ndarray, pred: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Return the `confusion` of labels of classes and sets: (K + S, K) int64."""
    return confusion(target, pred, len(label_set), num_sets=len(label_set.sets))


def by_label(
    label_set: LabelSet, counts: np.ndarray
) -> tuple[np.ndarray, tuple[ClassSet, ...], int]:
    """Take out excused pixels, and join sets that differ only in the classes that they may hide.

    A prediction that a label may hide is excused: it is no evidence for or against anything.

    Args:
        label_set: classes and sets.
        counts: (K + S, K) pixels by true label and predicted class.
    Returns:
        (K + S', K) int64 counts of the classes and of the sets of several classes, these sets, and
        the excused pixels.
    """
    if not label_set.sets:
        return counts, (), 0
    num_classes = len(label_set)
    rows: dict[tuple[int, ...], np.ndarray] = {
        (index,): counts[index].copy() for index in range(num_classes)
    }
    sets: dict[tuple[int, ...], ClassSet] = {}
    excused = 0
    for class_set, row in zip(label_set.sets, counts[num_classes:], strict=True):
        counted = row.copy()
        counted[list(class_set.hidden)] = 0
        excused += int(row.sum() - counted.sum())
        if len(class_set.classes) > 1:
            sets.setdefault(class_set.classes, ClassSet(class_set.name, class_set.classes))
        rows[class_set.classes] = rows.get(class_set.classes, 0) + counted
    return np.stack(list(rows.values())), tuple(sets.values()), excused


def right_classes(num_classes: int, sets: tuple[ClassSet, ...]) -> np.ndarray:
    """Tell which predicted classes are right for each class and set: (K + S, K) bool."""
    right = np.zeros((num_classes + len(sets), num_classes), bool)
    right[np.arange(num_classes), np.arange(num_classes)] = True
    for row, class_set in zip(right[num_classes:], sets, strict=True):
        row[list(class_set.classes)] = True
    return right


def class_counts(rows: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    """Return what IoU, accuracy and Dice are made from.

    Args:
        rows: (R, K) pixels of each class or set by predicted class.
        right: (R, K) bool, which predictions are right (default: the row's own class).
    Returns:
        (3, R) pixels: true positives, in the target (TP + FN), and predicted (TP + FP, which of a
            set are pixels that other rows lost to one of its classes).
    """
    right = np.eye(len(rows), dtype=bool) if right is None else right
    true_positives = (rows * right).sum(axis=1)
    # by predicted class; nothing of a row's own is lost to its classes
    lost = (rows * ~right).sum(axis=0)
    return np.stack([true_positives, rows.sum(axis=1), true_positives + right @ lost])


def iou(counts: np.ndarray) -> np.ndarray:
    """Return the intersection over union: TP / (TP + FP + FN).

    Args:
        counts: (3, ...) pixels from `class_counts`.
    Returns:
        (...) float64, 0 to 1; 0 where a class has no pixel.
    """
    true_positives, target, predicted = counts
    scores: np.ndarray = true_positives / np.maximum(target + predicted - true_positives, 1)
    return scores


def settle(
    target: np.ndarray, pred: np.ndarray, label_set: LabelSet, *, sets: bool = True
) -> np.ndarray:
    """Return the true class of each pixel, as far as the label and the prediction determine it.

    Where a label stands for several classes, that is the predicted class if it is among them, else
    the first of them.

    Args:
        target: (H, W) uint8 labels of classes and sets.
        pred: (H, W) uint8 class ids.
        label_set: classes and sets.
        sets: whether labels of several classes are settled; otherwise they become 255.
    Returns:
        (H, W) uint8 class ids; 255 where the label is ignored or the prediction excused.
    """
    if not label_set.sets:
        return target
    num_classes = len(label_set)
    table = np.full((256, num_classes), IGNORE_ID, np.uint8)
    table[:num_classes] = np.arange(num_classes)[:, None]
    for row, class_set in zip(table[num_classes:], label_set.sets, strict=False):
        if len(class_set.classes) == 1 or sets:
            row[:] = class_set.classes[0]
            row[list(class_set.classes)] = class_set.classes
        row[list(class_set.hidden)] = IGNORE_ID
    settled: np.ndarray = table[target, pred]
    return settled
