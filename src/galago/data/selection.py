"""Which images of a folder belong to a split: those of a list, and those that are held out for
validation.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galago._core.text_files import read_text
from galago.data.image_mask_dataset import Pair
from galago.errors import DataError

SIDES = (32, 1 << 14)  # pixels of a short side, least and most
SUFFIX = re.compile(r"\.[A-Za-z]{3,4}$")  # of an image file


@dataclass(frozen=True)
class Selection:
    """Which images belong to a split.

    Attributes:
        holdout: images of train whose file names start with one of these are val.
        only: names of the images to use, `train/a` or `a` without a suffix; all where it is None.
        file: says so, for messages.
    """

    holdout: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    file: str = ""

    def source(self, split: str, val_folder: Path) -> str:
        """Return the split whose folder holds the images of a split.

        Args:
            split: train, val or test.
            val_folder: where images of val would be.
        Raises:
            DataError: images are held out for val, but there is a folder for it.
        """
        if not self.holdout or split == "test":
            return split
        if val_folder.is_dir():
            raise DataError(
                f"{self.file}: holdout makes val from images of train, but there is {val_folder}, "
                "too. Remove one of both."
            )
        return "train"

    def keeps(self, name: str, part: str, split: str) -> bool:
        """Tell whether an image called `name` in the folder of a split belongs to a part: train,
        val or test.
        """
        if self.only is not None and name not in self.only and f"{split}/{name}" not in self.only:
            return False
        return not self.holdout or part == "test" or self.is_held_out(name) == (part == "val")

    def is_held_out(self, name: str) -> bool:
        """Tell whether an image is for validation."""
        return name.rsplit("/", 1)[-1].startswith(self.holdout)

    def select(self, pairs: tuple[Pair, ...], part: str, split: str) -> tuple[Pair, ...]:
        """Keep the pairs of a part.

        Args:
            pairs: all of the folder.
            part: train, val or test.
            split: whose folder it is.
        Raises:
            DataError: a listed image is missing, nothing starts as a prefix says, or nothing is
                left.
        """
        names = {pair.name for pair in pairs}
        if self.only is not None:
            listed = sorted(name for name in self.only if name.startswith(f"{split}/"))
            if missing := [
                name
                for name in listed
                if name.removeprefix(f"{split}/") not in names and name not in names
            ]:
                raise DataError(
                    f"{self.file}: {len(missing)} images of `only` are missing, the first is "
                    f"{missing[0]!r}."
                )
        if split != "test":
            bases = [name.rsplit("/", 1)[-1] for name in names]
            if unused := [
                prefix
                for prefix in self.holdout
                if not any(base.startswith(prefix) for base in bases)
            ]:
                raise DataError(
                    f"{self.file}: no image's name starts with {unused[0]!r}, as holdout says. "
                    f"Names: {min(bases)} ..."
                )
        kept = tuple(pair for pair in pairs if self.keeps(pair.name, part, split))
        if not kept:
            raise DataError(f"{self.file}: `only` and `holdout` leave no image for {part}.")
        return kept


def read_selection(raw: dict[str, Any], file: Path) -> Selection:
    """Read the keys `only` and `holdout`.

    Raises:
        DataError: one has another form, or the list cannot be read.
    """
    holdout, only = raw.get("holdout"), raw.get("only")
    prefixes = [holdout] if isinstance(holdout, str) else [] if holdout is None else holdout
    if not isinstance(prefixes, list) or not all(
        isinstance(prefix, str) and prefix for prefix in prefixes
    ):
        raise DataError(
            f"{file}: holdout should list how names of images begin, in quotes, got {holdout!r}."
        )
    if only is not None and not isinstance(only, str):
        raise DataError(f"{file}: only should be the path of a text file, got {only!r}.")
    return Selection(
        tuple(prefixes), None if only is None else _read_list(file.parent / only), str(file)
    )


def _read_list(path: Path) -> frozenset[str]:
    """Read names of images, one a line, with or without a suffix.

    Empty lines and those that start with # count nothing.
    """
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    named = [line.removeprefix("images/") for line in lines if line and not line.startswith("#")]
    if not named:
        raise DataError(f"{path} names no image. Expected one per line, such as train/a.jpg.")
    return frozenset(SUFFIX.sub("", name) for name in named)


def read_short_side(raw: dict[str, Any], file: Path) -> int | None:
    """Read the key `short_side`.

    Raises:
        DataError: it is no number of pixels.
    """
    value = raw.get("short_side")
    if value is not None and (type(value) is not int or not SIDES[0] <= value <= SIDES[1]):
        raise DataError(
            f"{file}: short_side should be {SIDES[0]} to {SIDES[1]} pixels, got {value!r}."
        )
    return value
