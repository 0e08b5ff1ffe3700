"""ImageMaskDataset: a data set whose samples are one image file and one mask file each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galago import image as images
from galago.data.id_lookup import IdLookup, count_ids
from galago.data.listing import some
from galago.data.sample import Sample
from galago.errors import ConfigError, DataError
from galago.labels import LabelSet

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """The two files of a sample."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class ImageMaskDataset:
    """Images with masks, checked as they are read.

    Attributes:
        labels: names and colors of the classes.
        pairs: the files, in order.
        train_ids: from an id in the mask files, 0 to 255, to a class id or 255 = ignore; any other
            id in a mask is an error.
    """

    label_set: LabelSet
    pairs: tuple[Pair, ...]
    train_ids: Mapping[int, int]

    @property
    def names(self) -> list[str]:
        """Name of every sample, in order."""
        return [pair.name for pair in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read one image and its mask.

        Raises:
            ImageError: the image cannot be read.
            DataError: the mask cannot be read, has another size than the image, or holds an id
                without a meaning.
        """
        pair = self.pairs[index]
        image, ids = images.load(pair.image), images.load_labels(pair.mask)
        if ids.shape != image.shape[:2]:
            raise DataError(
                f"{pair.mask} is {_size(ids)}, but its photo {pair.image} is {_size(image)} (width "
                "x height). "
                "A mask needs one pixel for each of its photo: resize the mask with nearest "
                "neighbor, or pair the right files."
            )
        return Sample(pair.name, image, self._to_train_ids(ids, pair.mask))

    def _to_train_ids(self, ids: np.ndarray, mask: Path) -> np.ndarray:
        """Map the (H, W) uint8 ids of a mask file to class ids and 255."""
        lookup = IdLookup(self.train_ids)
        if unmapped := lookup.unmapped(count_ids(ids)):
            shown = [f"{source} ({pixels} pixels)" for source, pixels in unmapped.items()]
            raise DataError(
                f"{mask} holds ids that mean nothing here: {some(shown)}. Known ids: "
                f"{_ranges(sorted(self.train_ids))}. "
                "Name them in the YAML's label_mapping, for example `7: 0` for class 0 or `7: "
                "ignore`."
            )
        return lookup(ids)


def check_split(split: str) -> None:
    """Refuse a name that is no split.

    Raises:
        ConfigError: the name is not train, val or test.
    """
    if split not in SPLITS:
        raise ConfigError(f"Unknown split {split!r}. Choose one of: {', '.join(SPLITS)}.")


def check_pairs(pairs: list[Pair], what: str) -> tuple[Pair, ...]:
    """Refuse an empty split, two samples of one name, and missing files, before the first one is
    read.

    Args:
        pairs: what was found.
        what: names the split in messages.
    Raises:
        DataError: one of those.
    """
    if not pairs:
        raise DataError(f"{what} holds no photos. Put at least one photo and its mask there.")
    seen: dict[str, Path] = {}
    for pair in pairs:
        if pair.name in seen:
            raise DataError(
                f"{what} has two photos called {pair.name}: {seen[pair.name]} and {pair.image}. "
                "Rename one."
            )
        seen[pair.name] = pair.image
    for files, kind in (
        ([pair.image for pair in pairs], "photos"),
        ([pair.mask for pair in pairs], "masks"),
    ):
        if missing := [str(file) for file in files if not file.is_file()]:
            raise DataError(
                f"{what}: {len(missing)} of {len(pairs)} {kind} are missing: {some(missing)}. "
                "Add the files or remove their partners."
            )
    return tuple(pairs)


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def _ranges(ids: list[int]) -> str:
    """Write sorted ids briefly: [0, 1, 2, 255] as `0-2, 255`."""
    starts = [value for value in ids if value - 1 not in ids]
    ends = [value for value in ids if value + 1 not in ids]
    return ", ".join(
        str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    )
