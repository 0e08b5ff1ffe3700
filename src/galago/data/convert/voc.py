"""PASCAL VOC, and what labeling tools export in its form: JPEGImages/, SegmentationClass/,
ImageSets/Segmentation/.
"""

from functools import partial
from pathlib import Path

import numpy as np

from galago import image as images
from galago._core.file_walk import is_hidden
from galago._core.printable import printable
from galago._core.text_files import read_text
from galago.data.convert.colors import ADVICE, ColorTable
from galago.data.convert.palettes import read_palette
from galago.data.convert.source import (
    Item,
    Options,
    Source,
    UnmappedValues,
    refuse_missing,
    to_class_ids,
)
from galago.data.convert.splits import split_of
from galago.data.image_mask_dataset import SPLITS
from galago.data.listing import MASK_SUFFIX, by_stem, only_one
from galago.errors import DataError
from galago.image import IMAGE_SUFFIXES
from galago.labels import IGNORE_ID, Color, LabelSet

LISTS = "ImageSets/Segmentation"
LABELMAP = "labelmap.txt"
MASK_DIR = "SegmentationClass"
BORDER: Color = (
    224,
    224,
    192,
)  # of id 255 in VOC's palette: pixels between objects, which are ignored
COLOR_TYPE = 25  # place in a PNG file
GRAY, INDEXED = 0, 3


def voc_palette(count: int) -> tuple[Color, ...]:
    """Return the first colors of VOC's palette, which spreads an id's bits over the channels
    (VOCdevkit, VOClabelcolormap.m).
    """

    def channel(index: int, shift: int) -> int:
        return sum((index >> (3 * bit + shift) & 1) << (7 - bit) for bit in range(3))

    return tuple(
        (channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(count)
    )


VOC = LabelSet(
    names=(
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ),
    palette=voc_palette(21),
)


def read_voc(source: Path, options: Options) -> Source:
    """List images with their masks.

    Indexed and gray masks hold ids, colored ones, and those beside a labelmap.txt, colors.

    Raises:
        DataError: the lists are missing, or images or masks that they name.
    """
    labelmap = options.palette or (source / LABELMAP if (source / LABELMAP).is_file() else None)
    labels = read_palette(labelmap) if labelmap else VOC
    unknown = UnmappedValues("colors or ids", ADVICE)
    reader = MaskReader(labels, unknown, by_color=labelmap is not None)
    image_dir = options.images or source / "JPEGImages"
    image_files, masks = (
        by_stem(image_dir, IMAGE_SUFFIXES),
        by_stem(source / MASK_DIR, (MASK_SUFFIX,)),
    )
    items, missing = [], []
    listed, notes = _listed(source)
    for split, name in listed:
        missing += [] if name in image_files else [f"{image_dir.name}/{name}.jpg"]
        missing += [] if name in masks else [f"{MASK_DIR}/{name}{MASK_SUFFIX}"]
        if name in image_files and name in masks:
            items.append(
                Item(
                    split,
                    name,
                    only_one(image_files[name]),
                    partial(reader.read, only_one(masks[name])),
                )
            )
    missing = [printable(name) for name in missing]
    refuse_missing(
        missing,
        f"files that {LISTS} names are missing",
        "Add them, or take the names out of the lists.",
    )
    return Source(labels, items, unknown, tuple(notes))


def _listed(source: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Return split and name of every image, and notes.

    The split is told by the name of the list, `val.txt`; of a split without a list of its name,
    other lists count by the words in theirs, `labels-val.txt`, and those without such a word as
    train.
    """
    lists = {
        file.stem: file
        for file in sorted((source / LISTS).glob("*.txt"))
        if not is_hidden(file.name)
    }
    if not lists:
        raise DataError(
            f"{source} has no lists in {LISTS}. Expected train.txt and val.txt with one name a "
            "line."
        )
    exact = {split: lists.pop(split) for split in SPLITS if split in lists}
    found = [(split, name) for split, file in exact.items() for name in _names(file)]
    known, notes = {name for _, name in found}, []
    for stem, file in lists.items():
        split = split_of(stem)
        if split is None and not exact:
            notes.append(
                f"The name of {file.name} holds no word for a split (train, val, test): its photos "
                "become train."
            )
            split = "train"
        if split is None or split in exact:
            rest = sum(name not in known for name in _names(file))
            notes += (
                [f"{file.name} is left out, with {rest:,} names that are in no other list."]
                if rest
                else []
            )
        else:
            found += [(split, name) for name in _names(file) if name not in known]
    return found, notes


def _names(file: Path) -> list[str]:
    try:
        lines = read_text(file).split("\n")
    except ValueError as error:
        raise DataError(str(error)) from error
    return [line.strip() for line in lines if line.strip()]


class MaskReader:
    """Reads masks of ids and masks of colors."""

    def __init__(self, label_set: LabelSet, unknown: UnmappedValues, *, by_color: bool) -> None:
        """Prepare the tables.

        Args:
            label_set: names and colors of the classes.
            unknown: counts what has no name.
            by_color: whether the colors come from a labelmap: then those of indexed masks count,
                and the values of gray masks where all colors of the labelmap are gray.
        """
        colors = {BORDER: IGNORE_ID} | {
            color: index for index, color in enumerate(label_set.palette)
        }
        self._table, self._unknown, self._by_color = (
            ColorTable(colors, label_set, unknown),
            unknown,
            by_color,
        )
        self._ids = {index: index for index in range(len(label_set))} | {IGNORE_ID: IGNORE_ID}
        self._grays = {
            color[0]: index for index, color in enumerate(label_set.palette) if len(set(color)) == 1
        }
        self._all_gray = len(self._grays) == len(label_set)
        self._names = label_set.names

    def read(self, mask: Path) -> np.ndarray:
        """Return (H, W) uint8 class ids, 255 = ignore.

        Raises:
            DataError: the mask cannot be read, or its gray values may be ids and colors.
        """
        with mask.open("rb") as file:
            kind = file.read(COLOR_TYPE + 1)[-1:]
        if kind == bytes([GRAY]) and not (self._by_color and self._all_gray):
            ids = images.load_labels(mask)
            if self._by_color:
                self._check_meaning(ids, mask)
            return to_class_ids(ids, self._ids, self._unknown)
        if kind == bytes([INDEXED]) and not self._by_color:
            return to_class_ids(images.load_labels(mask), self._ids, self._unknown)
        return self._table.ids(images.load(mask))

    def _check_meaning(self, ids: np.ndarray, mask: Path) -> None:
        """Refuse gray values that mean one class as ids and another as colors of the labelmap."""
        values = [int(value) for value in np.unique(ids)]
        if not all(value in self._grays for value in values):
            return
        for value in values:
            if value and self._ids.get(value) != self._grays[value]:
                by_id = {IGNORE_ID: "ignored"}.get(
                    value, self._names[value] if value < len(self._names) else "nothing"
                )
                raise DataError(
                    f"{mask} is gray, and its values may be ids or colors of the labelmap: {value} "
                    "is "
                    f"{self._names[self._grays[value]]} by color and {by_id} by id. Save the masks "
                    "as RGB if they are colors; "
                    f"if they are ids, give the classes colors that are not gray."
                )
