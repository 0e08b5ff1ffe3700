"""How often each class occurs in each split."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from galago.data.check.facts import ImageStats
from galago.labels import IGNORE_ID, LabelSet


@dataclass(frozen=True, eq=False)
class Split:
    """Sums over the photos of a split.

    Attributes:
        pixels: (K,) int64 pixels of each class.
        photos: (K,) int64 photos in which a class occurs.
        ids: (256,) int64 pixels of each id in the masks, before any mapping.
        ignored: pixels that count nowhere.
        in_sets: (S,) int64 pixels of each label that stands for several classes.
        unknown: pixels whose id means nothing.
        files: photos with a mask.
        sizes: photos of each (height, width).
    """

    pixels: np.ndarray
    photos: np.ndarray
    ids: np.ndarray
    ignored: int
    unknown: int
    files: int
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    in_sets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def shares(self) -> list[float]:
        """Share of each class among the labeled pixels, 0 to 1.

        Labels that stand for several classes make up the rest.
        """
        total = int(self.pixels.sum() + self.in_sets.sum())
        return [int(count) / total if total else 0.0 for count in self.pixels]


class IdTable:
    """Sorts counts of ids by what the ids mean."""

    def __init__(self, train_ids: Mapping[int, int], num_classes: int) -> None:
        self._targets, self._num_classes = np.full(256, -1), num_classes
        for source, target in train_ids.items():
            self._targets[source] = target
        self._labels = max(
            num_classes, *(1 + target for target in train_ids.values() if target != IGNORE_ID), 0
        )

    @classmethod
    def of(cls, labels: LabelSet, train_ids: Mapping[int, int]) -> "IdTable":
        """Make the table of a data set.

        A label under which classes hide counts as the class that it names.
        """

        def named(target: int) -> int:
            found = (
                labels.sets[target - len(labels)] if len(labels) <= target != IGNORE_ID else None
            )
            return found.classes[0] if found and len(found.classes) == 1 else target

        return cls({source: named(target) for source, target in train_ids.items()}, len(labels))

    def classes(self, counts: np.ndarray) -> np.ndarray:
        """Sum (256,) counts of ids to (K,) counts of classes."""
        return np.array(
            [counts[self._targets == index].sum() for index in range(self._num_classes)], np.int64
        )

    def in_sets(self, counts: np.ndarray) -> np.ndarray:
        """Sum (256,) counts of ids to (S,) counts of labels that stand for several classes."""
        sums = [
            counts[self._targets == index].sum() for index in range(self._num_classes, self._labels)
        ]
        return np.array(sums, np.int64)

    def ignored(self, counts: np.ndarray) -> int:
        """Count the pixels that count nowhere."""
        return int(counts[self._targets == IGNORE_ID].sum())

    def unknown(self, counts: np.ndarray) -> dict[int, int]:
        """Return the pixels of each id that means nothing."""
        return {
            int(index): int(counts[index])
            for index in np.flatnonzero((self._targets < 0) & (counts > 0))
        }


def summarize(facts: Iterable[ImageStats], table: IdTable, num_classes: int) -> Split:
    """Add up a split."""
    pixels, photos, ids = (
        np.zeros(num_classes, np.int64),
        np.zeros(num_classes, np.int64),
        np.zeros(256, np.int64),
    )
    sizes: Counter[tuple[int, int]] = Counter()
    in_sets = np.zeros(len(table.in_sets(ids)), np.int64)
    ignored = unknown = files = 0
    for fact in facts:
        if fact.photo_size:
            sizes[fact.photo_size] += 1
        files += fact.item.has_photo and fact.item.has_mask
        if fact.counts is None:
            continue
        counts = table.classes(fact.counts)
        pixels += counts
        photos += counts > 0
        ids += fact.counts
        in_sets += table.in_sets(fact.counts)
        ignored += table.ignored(fact.counts)
        unknown += sum(table.unknown(fact.counts).values())
    return Split(pixels, photos, ids, ignored, unknown, files, sizes, in_sets)
