"""What every converter makes of a data set, and what all of them have in common."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from galago.data.id_lookup import IdLookup, count_ids
from galago.data.listing import some
from galago.errors import ConfigError, DataError
from galago.labels import LabelSet

UNKNOWN = ("error", "ignore")
MAX_UNKNOWN = 20  # colors or ids that a message shows


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to convert; not every converter has a use for each.

    Attributes:
        palette: file of names and colors.
        images: folder of the images, where they are elsewhere.
        ignore: names of classes whose pixels are ignored.
        unknown: error, or ignore: what becomes of pixels without a meaning, and of COCO entries
            with a fault.
    """

    palette: Path | None = None
    images: Path | None = None
    ignore: tuple[str, ...] = ()
    unknown: str = "error"

    def __post_init__(self) -> None:
        if self.unknown not in UNKNOWN:
            raise ConfigError(
                "Pixels without a meaning are an error or ignored: --unknown error or ignore, got "
                f"{self.unknown!r}."
            )


@dataclass(frozen=True)
class Item:
    """One image to convert.

    Attributes:
        split: train, val or test.
        name: unique in its split; `/` between folders, no suffix.
        image: its file.
        read_labels: returns its labels, (H, W) uint8 class ids, 255 = ignore.
    """

    split: str
    name: str
    image: Path
    read_labels: Callable[[], np.ndarray]


@dataclass(frozen=True)
class UnmappedValues:
    """Counts what has no meaning while labels are drawn, so that all of it can be told at once.

    Attributes:
        what: names it in messages, such as `colors`.
        advice: what to do.
        pixels: by color or id.
        hints: further words on some of them.
    """

    what: str
    advice: str
    pixels: Counter[object] = field(default_factory=Counter)
    hints: dict[object, str] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse to go on with any.

        Raises:
            DataError: something without a meaning was counted.
        """
        if not self.pixels:
            return
        common = self.pixels.most_common(MAX_UNKNOWN)
        lines = [f"  {key}: {count:,} pixels{self.hints.get(key, '')}" for key, count in common]
        if rest := len(self.pixels) - len(lines):
            lines.append(f"  and {rest} more")
        raise DataError(
            f"{len(self.pixels)} {self.what} have no name:\n"
            + "\n".join(lines)
            + f"\n{self.advice} "
            "With --unknown ignore such pixels are ignored."
        )


@dataclass(frozen=True)
class Source:
    """A data set to convert.

    Attributes:
        labels: names and colors of the classes.
        items: the images.
        unknown: filled while labels are drawn; None if nothing can be unknown.
        notes: what was left out or taken for something, to tell the user.
        dropped: names of classes that the converter took out by itself.
    """

    label_set: LabelSet
    items: list[Item]
    unknown: UnmappedValues | None = None
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def to_class_ids(ids: np.ndarray, table: Mapping[int, int], unknown: UnmappedValues) -> np.ndarray:
    """Turn (H, W) uint8 ids of a file into class ids.

    Those that the table lacks are counted and become 255.
    """
    lookup = IdLookup(table)
    unknown.pixels.update(lookup.unmapped(count_ids(ids)))
    return lookup(ids)


def refuse_missing(missing: list[str], what: str, advice: str) -> None:
    """Refuse to convert a part of a data set only.

    Raises:
        DataError: something is missing.
    """
    if missing:
        raise DataError(f"{len(missing)} {what}: {some(missing)}. {advice}")


def note_lone(masks: list[Path]) -> list[str]:
    """Return a note on masks whose image is not there, if there are any."""
    if not masks:
        return []
    return [
        f"{len(masks):,} masks have no photo and are left out: "
        f"{some([str(mask) for mask in masks])}."
    ]


def drop_classes(source: Source, ignored: tuple[str, ...]) -> Source:
    """Take classes out: their pixels are ignored, and the ids of the others close up.

    Raises:
        ConfigError: there is no class of a name, or none is left.
    """
    names = source.label_set.names
    if wrong := [name for name in ignored if name not in names + source.dropped]:
        raise ConfigError(
            f"--ignore {wrong[0]!r}: there is no such class. Choose from: {', '.join(names)}."
        )
    kept = [index for index, name in enumerate(names) if name not in ignored]
    if len(kept) == len(names):
        return source
    if not kept:
        raise ConfigError("--ignore leaves no class.")
    lookup = IdLookup({old: new for new, old in enumerate(kept)})

    def remapped(read_labels: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        return lambda: lookup(read_labels())

    items = [
        Item(item.split, item.name, item.image, remapped(item.read_labels)) for item in source.items
    ]
    labels = LabelSet(
        tuple(names[index] for index in kept),
        tuple(source.label_set.palette[index] for index in kept),
    )
    return replace(source, label_set=labels, items=items)
