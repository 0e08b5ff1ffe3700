"""IdLookup: the table from ids in mask files to class ids."""

from collections.abc import Mapping

import numpy as np

from galago.labels import IGNORE_ID


class IdLookup:
    """Maps ids in masks to labels: ids of classes and sets, 255 = ignore.

    Attributes:
        labels: (256,) uint8, the label of each id; 255 for unmapped ids.
        mapped: (256,) bool, whether an id has a label.
    """

    def __init__(self, train_ids: Mapping[int, int]) -> None:
        """Build the table.

        Args:
            train_ids: from an id, 0 to 255, to a label.
        """
        self.labels = np.full(256, IGNORE_ID, np.uint8)
        self.mapped = np.zeros(256, bool)
        for source, target in train_ids.items():
            self.labels[source] = target
            self.mapped[source] = True

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """Return the (H, W) uint8 labels of (H, W) uint8 ids."""
        labels: np.ndarray = self.labels[ids]
        return labels

    def unmapped(self, counts: np.ndarray) -> dict[int, int]:
        """Return the pixels of each id that has no label.

        Args:
            counts: (256,) pixels of each id.
        """
        ids = np.flatnonzero((counts > 0) & ~self.mapped)
        return {int(index): int(counts[index]) for index in ids}


def count_ids(ids: np.ndarray) -> np.ndarray:
    """Return the pixels of each id of an (H, W) uint8 mask, (256,) int64."""
    return np.bincount(ids.ravel(), minlength=256)
