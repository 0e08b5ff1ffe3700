"""Sample and Dataset: what every data set looks like to training, evaluation and export."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from galago.errors import ConfigError, DataError
from galago.labels import LabelSet


@dataclass(frozen=True, eq=False)
class Sample:
    """One labeled image.

    Attributes:
        name: unique in its data set; `/` between folders, no file suffix.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids; 255 = ignore.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray


class Dataset(Protocol):
    """Labeled images in a fixed order, read one at a time."""

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the classes."""

    @property
    def names(self) -> Sequence[str]:
        """Name of every sample, in order; reads no image."""

    def __len__(self) -> int:
        """Count the samples."""

    def __getitem__(self, index: int) -> Sample:
        """Read sample `index`, 0 to len - 1."""


@dataclass(frozen=True)
class Subset:
    """Some samples of a data set, in the order of `indices`."""

    dataset: Dataset
    indices: tuple[int, ...]

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the classes, as in the whole set."""
        return self.dataset.label_set

    @property
    def names(self) -> list[str]:
        """Name of every sample, in order."""
        names = self.dataset.names
        return [names[index] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]


def select(dataset: Dataset, keep: Callable[[str], bool]) -> Subset:
    """Return the samples whose name passes a test.

    For example `lambda name: not name.startswith("0016E5")`.

    Raises:
        ConfigError: no name passes.
    """
    indices = tuple(index for index, name in enumerate(dataset.names) if keep(name))
    if not indices:
        examples = ", ".join(dataset.names[:3])
        raise ConfigError(
            f"None of the {len(dataset)} samples was selected. Their names look like this: "
            f"{examples}."
        )
    return Subset(dataset, indices)


def subsample_evenly(dataset: Dataset, count: int) -> Dataset:
    """Return so many samples, spread evenly over a data set, or all if there are fewer."""
    total = len(dataset)
    if count >= total:
        return dataset
    return Subset(dataset, tuple((2 * index + 1) * total // (2 * count) for index in range(count)))


def check_learnable(label_set: LabelSet) -> None:
    """Refuse to train on one class: every network is right on every pixel from the first step.

    Raises:
        DataError: there is one class.
    """
    if len(label_set) == 1:
        raise DataError(
            f"There is one class, {label_set.names[0]}, so that nothing can be learned. Name "
            "what is "
            "around it, too, as "
            f"names: [background, {label_set.names[0]}]; galago data check says what the ids "
            "of the "
            "masks need."
        )
