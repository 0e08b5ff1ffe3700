"""The largest of K classes, and its id: what argmax gives, many times faster, one class after the
other.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workspace:
    """Memory that many chunks of pixels use in turn, as taking it anew costs as much as the
    arithmetic.
    """

    best: np.ndarray
    grown: np.ndarray
    term: np.ndarray
    larger: np.ndarray
    labels: np.ndarray
    raised: np.ndarray

    @classmethod
    def allocate(cls, shape: tuple[int, ...], labels: np.dtype) -> "Workspace":
        """Reserve memory for chunks of up to a shape."""
        kinds = (np.float32, np.float32, np.float32, bool, labels, labels)
        return cls(*(np.empty(shape, kind).reshape(-1) for kind in kinds))

    def fit(self, shape: tuple[int, ...]) -> "Workspace":
        """Return the start of the same memory in the shape of one chunk."""
        size = math.prod(shape)
        return Workspace(*(memory[:size].reshape(shape) for memory in vars(self).values()))


def argmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest value along the first axis of (K, ...) float32, and its index.

    The smallest index where values tie.
    """
    best = logits[0].copy()
    labels = np.zeros(best.shape, label_type(len(logits)))
    scratch = np.empty(best.shape, bool), np.empty_like(labels)
    for class_id in range(1, len(logits)):
        update_argmax(best, labels, logits[class_id], labels.dtype.type(class_id), scratch)
    return best, labels


def label_type(num_classes: int) -> np.dtype:
    """Return the dtype of label maps: uint8, or uint16 for more than 256 classes."""
    return np.dtype(np.uint8 if num_classes <= 256 else np.uint16)


def update_argmax(
    best: np.ndarray,
    labels: np.ndarray,
    values: np.ndarray,
    class_id: np.ndarray | np.integer,
    scratch: tuple[np.ndarray, np.ndarray],
) -> None:
    """Let a further class win where its value is larger, in place.

    Because ids only grow from call to call, "the new id where larger, else the old one" is a
    maximum, which is many times faster than an assignment through a mask.

    Args:
        best: largest value so far.
        labels: its class; all smaller than class_id.
        values: of the further class.
        class_id: its id, or one id per element of the last axis, of the labels' dtype.
        scratch: memory of the same shape, bool and of the labels' dtype.
    """
    larger, raised = scratch
    np.greater(values, best, out=larger)
    np.multiply(larger.view(np.uint8), class_id, out=raised)
    np.maximum(labels, raised, out=labels)
    np.maximum(best, values, out=best)
