"""PASCAL VOC, and what labeling tools export in its form: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/."""

from functools import partial
from pathlib import Path

import numpy as np

from galago import image
from galago.data.convert.colors import ADVICE, ColorTable
from galago.data.convert.palettes import read_palette
from galago.data.convert.source import Item, Options, Source, Unknown, refuse_missing, to_class_ids
from galago.data.listing import PHOTO_SUFFIXES
from galago.data.pairs import SPLITS
from galago.errors import DataError
from galago.labels import IGNORE_ID, Color, LabelSet

LISTS = "ImageSets/Segmentation"
LABELMAP = "labelmap.txt"
BORDER: Color = (224, 224, 192)  # of id 255 in VOC's palette: pixels between objects, which count nowhere
COLOR_TYPE = 25  # place in a PNG file
GRAY, INDEXED = 0, 3


def voc_palette(count: int) -> tuple[Color, ...]:
    """Return the first colors of VOC's palette, which spreads an id's bits over the channels (VOCdevkit, VOClabelcolormap.m)."""

    def channel(index: int, shift: int) -> int:
        return sum((index >> (3 * bit + shift) & 1) << (7 - bit) for bit in range(3))

    return tuple((channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(count))


VOC = LabelSet(
    names=(
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
        "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    ),
    palette=voc_palette(21),
)  # fmt: skip


def read_voc(source: Path, options: Options) -> Source:
    """List photos with their masks; indexed and gray masks hold ids, colored ones, and those beside a labelmap.txt, colors.

    Raises:
        DataError: the lists are missing, or photos or masks that they name.
    """
    labelmap = options.palette or (source / LABELMAP if (source / LABELMAP).is_file() else None)
    labels = read_palette(labelmap) if labelmap else VOC
    unknown = Unknown("colors or ids", ADVICE)
    colors = {BORDER: IGNORE_ID} | {color: index for index, color in enumerate(labels.palette)}
    reader = MaskReader(ColorTable(colors, labels, unknown), len(labels), unknown, indexed_by_color=labelmap is not None)
    items, missing, photo_dir = [], [], options.images or source / "JPEGImages"
    for split, name in _listed(source):
        photo = next((file for suffix in PHOTO_SUFFIXES if (file := photo_dir / f"{name}{suffix}").is_file()), None)
        mask = source / f"SegmentationClass/{name}.png"
        missing += [f"{photo_dir.name}/{name}.jpg"] if photo is None else []
        missing += [] if mask.is_file() else [f"SegmentationClass/{name}.png"]
        if photo is not None:
            items.append(Item(split, name, photo, partial(reader.read, mask)))
    refuse_missing(missing, f"files that {LISTS} names are missing", "Add them, or take the names out of the lists.")
    return Source(labels, items, unknown)


def _listed(source: Path) -> list[tuple[str, str]]:
    """Return split and name of every photo; lists of other names than train, val and test count where there are none of these."""
    folder = source / LISTS
    lists = {split: folder / f"{split}.txt" for split in SPLITS if (folder / f"{split}.txt").is_file()}
    others = [("train", file) for file in sorted(folder.glob("*.txt"))]
    if not others:
        raise DataError(f"{source} has no lists in {LISTS}. Expected train.txt and val.txt with one name a line.")
    found = [(split, line.strip()) for split, file in (lists.items() or others) for line in file.read_text("utf-8").splitlines()]
    return [(split, name) for split, name in found if name]


class MaskReader:
    """Reads masks of ids and masks of colors."""

    def __init__(self, table: ColorTable, classes: int, unknown: Unknown, *, indexed_by_color: bool) -> None:
        self._table, self._unknown, self._indexed_by_color = table, unknown, indexed_by_color
        self._ids = {index: index for index in range(classes)} | {IGNORE_ID: IGNORE_ID}

    def read(self, mask: Path) -> np.ndarray:
        """Return (H, W) uint8 class ids, 255 = ignore."""
        with mask.open("rb") as file:
            kind = file.read(COLOR_TYPE + 1)[-1:]
        if kind == bytes([GRAY]) or (kind == bytes([INDEXED]) and not self._indexed_by_color):
            return to_class_ids(image.load_labels(mask), self._ids, self._unknown)
        return self._table.ids(image.load(mask))
