"""A data set at the size that the network works on."""

from dataclasses import dataclass

import cv2
import numpy as np

from galago import image as images
from galago.data.sample import Dataset, Sample
from galago.labels import LabelSet


@dataclass(frozen=True)
class ResizedDataset:
    """Images resized by the rule `short_side` of a ModelSpec, as a Segmenter does it, and labels by
    nearest neighbor.

    Attributes:
        dataset: where samples come from.
        short_side: pixels of the short side.
    """

    dataset: Dataset
    short_side: int

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the classes."""
        return self.dataset.label_set

    @property
    def names(self) -> list[str]:
        """Name of every sample, in order; reads no image."""
        return list(self.dataset.names)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Read and resize sample `index`, 0 to len - 1."""
        sample = self.dataset[index]
        size = images.short_side_size(sample.labels.shape, self.short_side)
        labels: np.ndarray = cv2.resize(
            sample.labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT
        )
        return Sample(sample.name, images.resize(sample.image, size), labels)
