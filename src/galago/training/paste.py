"""Copy-paste: small things of one view in another, so that rare classes are seen more often and before other backgrounds."""

import cv2
import numpy as np

from galago.labels import IGNORE_ID

LARGEST_SHARE = 0.05  # of a view's pixels: what takes more is background, not a thing
KEEP = 0.7  # probability of each class


def paste_things(
    view: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Put the pixels of the small classes of another view where they stand there; see ClassMix, arXiv:2007.07936, section 3.1.

    Args:
        view, other: (H, W, 3) uint8 images with (H, W) uint8 labels of one size; left as they are.
        rng: chooses among the classes of `other` that cover at most `LARGEST_SHARE` of it.
    Returns:
        image and labels.
    """
    (image, labels), (other_image, other_labels) = view, other
    counts = np.bincount(other_labels.ravel(), minlength=IGNORE_ID + 1)[:IGNORE_ID]
    small = np.flatnonzero((counts > 0) & (counts <= LARGEST_SHARE * labels.size))
    table = np.zeros(IGNORE_ID + 1, np.uint8)
    table[small[rng.random(len(small)) < KEEP]] = 1
    pasted = cv2.LUT(other_labels, table)
    return _copy(other_image, pasted, image), _copy(other_labels, pasted, labels)


def _copy(source: np.ndarray, mask: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return `target` with the pixels of `source` where the mask is not 0."""
    result: np.ndarray = cv2.copyTo(source, mask, np.array(target))  # a copy of its own, in rows one after the other
    return result
