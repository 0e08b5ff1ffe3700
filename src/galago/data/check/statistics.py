"""How often each class occurs in each split."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from galago.data.check.image_stats import ImageStats
from galago.data.id_lookup import IdLookup
from galago.labels import IGNORE_ID, LabelSet


@dataclass(frozen=True, eq=False)
class Split:
    """Sums over the images of a split.

    Attributes:
        pixels: (K,) int64 pixels of each class.
        images: (K,) int64 images in which a class occurs.
        ids: (256,) int64 pixels of each id in the masks, before any mapping.
        ignored: number of ignored pixels.
        in_sets: (S,) int64 pixels of each label that stands for several classes.
        unknown: pixels whose id means nothing.
        files: images with a mask.
        sizes: images of each (height, width).
    """

    pixels: np.ndarray
    images: np.ndarray
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

    @property
    def set_share(self) -> float:
        """Share of labels that stand for several classes among the labeled pixels, 0 to 1."""
        in_sets = int(self.in_sets.sum())
        return in_sets / max(1, int(self.pixels.sum()) + in_sets)

    def share_of_all(self, pixels: int) -> float:
        """Return the share of a number of pixels among all pixels of the masks, 0 to 1."""
        return pixels / max(1, int(self.ids.sum()))


class IdTable:
    """Sums counts of ids by label."""

    def __init__(self, train_ids: Mapping[int, int], num_classes: int) -> None:
        self._lookup, self._num_classes = IdLookup(train_ids), num_classes
        labels = [target for target in train_ids.values() if target != IGNORE_ID]
        self._num_labels = max(num_classes, max(labels, default=-1) + 1)

    @classmethod
    def of(cls, label_set: LabelSet, train_ids: Mapping[int, int]) -> "IdTable":
        """Make the table of a data set.

        A label under which classes hide counts as the class that it names.
        """

        def named(target: int) -> int:
            found = (
                label_set.sets[target - len(label_set)]
                if len(label_set) <= target != IGNORE_ID
                else None
            )
            return found.classes[0] if found and len(found.classes) == 1 else target

        return cls({source: named(target) for source, target in train_ids.items()}, len(label_set))

    def classes(self, counts: np.ndarray) -> np.ndarray:
        """Sum (256,) counts of ids to (K,) counts of classes."""
        return self._by_label(counts)[: self._num_classes]

    def in_sets(self, counts: np.ndarray) -> np.ndarray:
        """Sum (256,) counts of ids to (S,) counts of labels that stand for several classes."""
        return self._by_label(counts)[self._num_classes : self._num_labels]

    def ignored(self, counts: np.ndarray) -> int:
        """Return the number of ignored pixels."""
        return int(self._by_label(counts)[IGNORE_ID])

    def unknown(self, counts: np.ndarray) -> dict[int, int]:
        """Return the pixels of each id that has no label."""
        return self._lookup.unmapped(counts)

    def _by_label(self, counts: np.ndarray) -> np.ndarray:
        """Sum (256,) counts of ids to (256,) int64 counts of labels."""
        sums = np.zeros(256, np.int64)
        mapped = self._lookup.mapped
        np.add.at(sums, self._lookup.labels[mapped], counts[mapped])
        return sums


def summarize(image_stats: Iterable[ImageStats], table: IdTable, num_classes: int) -> Split:
    """Add up a split."""
    pixels, images, ids = (
        np.zeros(num_classes, np.int64),
        np.zeros(num_classes, np.int64),
        np.zeros(256, np.int64),
    )
    sizes: Counter[tuple[int, int]] = Counter()
    in_sets = np.zeros(len(table.in_sets(ids)), np.int64)
    ignored = unknown = files = 0
    for stats in image_stats:
        if stats.image_size:
            sizes[stats.image_size] += 1
        files += stats.item.has_image and stats.item.has_mask
        if stats.counts is None:
            continue
        counts = table.classes(stats.counts)
        pixels += counts
        images += counts > 0
        ids += stats.counts
        in_sets += table.in_sets(stats.counts)
        ignored += table.ignored(stats.counts)
        unknown += sum(table.unknown(stats.counts).values())
    return Split(pixels, images, ids, ignored, unknown, files, sizes, in_sets)
