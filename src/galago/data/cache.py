"""A data set whose images are decoded once: large images take longer to decode than a small network
takes to learn from them.
"""

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from galago._core.atomic_io import write_whole
from galago.data.sample import Dataset, Sample
from galago.labels import LabelSet


@dataclass(frozen=True)
class CachedDataset:
    """A data set that keeps what it has read in a folder, for itself and for other processes.

    Each sample is two .npy files, read through memory mapping, so that a small window of a huge
    image costs little. When the disk is full, further samples are read from the data set as before.

    Attributes:
        dataset: where samples come from the first time.
        folder: holds them from then on; of this data set only, and outdated when its files change.
    """

    dataset: Dataset
    folder: Path

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the classes."""
        return self.dataset.label_set

    @cached_property
    def names(self) -> list[str]:
        """Name of every sample, in order; reads no image."""
        return list(self.dataset.names)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Read sample `index`, 0 to len - 1.

        Its arrays cannot be written to once it is in the cache.
        """
        files = [self.folder / f"{index}.{part}.npy" for part in ("image", "labels")]
        try:
            image, labels = (np.asarray(np.load(file, mmap_mode="r")) for file in files)
        except (FileNotFoundError, NotADirectoryError):
            sample = self.dataset[index]
            self._keep(files, sample)
            return sample
        return Sample(self.names[index], image, labels)

    def _keep(self, files: list[Path], sample: Sample) -> None:
        for file, pixels in zip(files, (sample.image, sample.labels), strict=True):
            content = io.BytesIO()
            np.save(content, pixels)
            try:
                write_whole(file, content.getvalue())
            except OSError:
                return
