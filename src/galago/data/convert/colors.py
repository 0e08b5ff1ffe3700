"""RGB masks, one color per class, beside images."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from galago import image as images
from galago.data.colors import nearest, pack, unpack
from galago.data.convert.palettes import EXAMPLE, PALETTE_NAMES, find_palette, read_palette
from galago.data.convert.source import (
    Item,
    Options,
    Source,
    UnmappedValues,
    note_lone,
    refuse_missing,
)
from galago.data.image_mask_dataset import SPLITS
from galago.data.listing import by_stem, files_in, only_one, stem_of
from galago.errors import ConfigError, DataError
from galago.image import IMAGE_SUFFIXES
from galago.labels import IGNORE_ID, Color, LabelSet

# Where images and masks of a split may be; the second is the way of CamVid's colored copies.
PLACES = (
    ("images/{split}", "masks/{split}"),
    ("{split}", "{split}_labels"),
    ("{split}/images", "{split}/masks"),
)
FLAT = ("images", "masks")  # without splits: all of it is train
MASK_ENDING = "_L"  # CamVid: 0001TP_006690_L.png is the mask of 0001TP_006690.png
LOSSY = (".jpg", ".jpeg")
ADVICE = (
    "Add them to the palette. Colors near a named one come from masks that were resized with "
    "interpolation, "
    "drawn with soft edges or saved as JPEG: export these again."
)


class ColorTable:
    """Turns colors into ids."""

    def __init__(
        self, colors: Mapping[Color, int], label_set: LabelSet, unknown: UnmappedValues
    ) -> None:
        """Prepare the table.

        Args:
            colors: class id, or 255 = ignore, of each color.
            label_set: name the classes near unknown colors.
            unknown: counts colors that are in no table.
        """
        self._ids = np.full(1 << 24, IGNORE_ID, np.uint8)  # 16 MB, and faster than any search
        for color, index in colors.items():
            self._ids[pack(np.array(color))] = index
        self._ignored = [
            int(pack(np.array(color))) for color, index in colors.items() if index == IGNORE_ID
        ]
        self._labels, self._unknown = label_set, unknown

    def ids(self, pixels: np.ndarray) -> np.ndarray:
        """Turn (H, W, 3) uint8 RGB into (H, W) uint8 class ids.

        Unknown colors are counted and become 255.
        """
        packed = pack(pixels)
        ids: np.ndarray = self._ids[packed]
        if (lost := packed[ids == IGNORE_ID]).size:
            values, counts = np.unique(lost[~np.isin(lost, self._ignored)], return_counts=True)
            for value, count in zip(values, counts, strict=True):
                color = unpack(int(value))
                self._unknown.pixels[color] += int(count)
                if color not in self._unknown.hints:
                    self._unknown.hints[color] = nearest(color, self._labels)
        return ids


def read_colors(source: Path, options: Options) -> Source:
    """List images with colored masks.

    Raises:
        ConfigError: there is no palette.
        DataError: the palette is broken, or an image has no mask.
    """
    palette_file = options.palette or find_palette(source)
    if palette_file is None and any(source.glob("*/_classes.csv")):
        raise ConfigError(
            f"{source} is an export of Roboflow: galago data convert roboflow {source}"
        )
    if palette_file is None:
        raise ConfigError(
            f"Which color means what? Put one of {', '.join(PALETTE_NAMES)} into {source}, or name "
            "a file with --palette. "
            f"For example a YAML file:\n\n{EXAMPLE}"
        )
    labels = read_palette(palette_file)
    unknown = UnmappedValues("colors", ADVICE)
    table = ColorTable(
        {color: index for index, color in enumerate(labels.palette)}, labels, unknown
    )
    items: list[Item] = []
    missing: list[str] = []
    lone: list[Path] = []
    for split, image_dir, mask_dir in _places(source):
        masks, used = by_stem(mask_dir, IMAGE_SUFFIXES), set()
        for image in files_in(image_dir, IMAGE_SUFFIXES):
            name = stem_of(image, image_dir)
            mask_name = name if name in masks else f"{name}{MASK_ENDING}"  # the exact name first
            if mask_name in masks:
                used.add(mask_name)
                items.append(
                    Item(
                        split, name, image, partial(_read_labels, only_one(masks[mask_name]), table)
                    )
                )
            else:
                missing.append(str(image))
        lone += [path for name, paths in masks.items() if name not in used for path in paths]
    refuse_missing(
        missing,
        "photos have no mask",
        "Add the masks, under the photo's name, or remove the photos.",
    )
    return Source(labels, items, unknown, tuple(note_lone(lone)))


def _places(source: Path) -> list[tuple[str, Path, Path]]:
    """Find split, folder of images and folder of masks."""
    for image_files, masks in PLACES:
        places = [
            (split, source / image_files.format(split=split), source / masks.format(split=split))
            for split in SPLITS
        ]
        if found := [place for place in places if place[1].is_dir() and place[2].is_dir()]:
            return found
    image_dir, mask_dir = (source / name for name in FLAT)
    if image_dir.is_dir() and mask_dir.is_dir():
        return [("train", image_dir, mask_dir)]
    looked = " or ".join(
        f"{image_files} and {masks}" for image_files, masks in (*PLACES, FLAT)
    ).replace("{split}", "train")
    raise DataError(f"{source} has no folders of photos and masks. Looked for: {looked}.")


def _read_labels(mask: Path, table: ColorTable) -> np.ndarray:
    if mask.suffix.lower() in LOSSY:
        raise DataError(f"{mask} is a JPEG, which changes colors. Export the masks again as PNG.")
    return table.ids(images.load(mask))
