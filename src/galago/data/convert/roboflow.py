"""Roboflow's "Semantic Segmentation Masks": images, `NAME_mask.png` beside each, and
`_classes.csv`.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np

from galago import image as images
from galago._core.file_walk import is_hidden
from galago._core.shown import shown
from galago._core.text_files import read_text
from galago.data.convert.source import (
    Item,
    Options,
    Source,
    UnmappedValues,
    note_lone,
    refuse_missing,
    to_class_ids,
)
from galago.data.convert.splits import split_of
from galago.data.listing import MASK_SUFFIX, by_stem, only_one
from galago.errors import ConfigError, DataError
from galago.image import IMAGE_SUFFIXES
from galago.labels import IGNORE_ID, LabelSet, distinct_palette

CLASSES_FILE = "_classes.csv"
MASK_ENDING = "_mask"
LINE = re.compile(r"\s*([0-9]{1,3})\s*,\s*(\S.*)")  # pixel value, class


def read_roboflow(source: Path, options: Options) -> Source:
    """List images with their masks of ids; 255 is ignored where it is no class.

    Raises:
        DataError: there is no `_classes.csv`, splits have other classes, or an image has no mask.
    """
    folders = [
        path for path in (source, *sorted(source.iterdir())) if (path / CLASSES_FILE).is_file()
    ]
    folders = [path for path in folders if path == source or not is_hidden(path.name)]
    if not folders:
        raise DataError(
            f"{source} has no {CLASSES_FILE}, nor has a folder in it, such as train or valid."
        )
    tables = {folder: read_classes(folder / CLASSES_FILE) for folder in folders}
    ids = tables[folders[0]]
    if other := next((folder for folder in folders if tables[folder] != ids), None):
        raise DataError(
            f"{other / CLASSES_FILE} has other classes than {folders[0] / CLASSES_FILE}."
        )
    unknown = UnmappedValues("ids", f"Add them to {CLASSES_FILE}.")
    table = {IGNORE_ID: IGNORE_ID} | {value: index for index, value in enumerate(ids)}
    items: list[Item] = []
    notes: list[str] = []
    missing: list[str] = []
    for folder in folders:
        split = split_of(folder.name)
        if split is None:
            notes.append(
                f"The name of {folder} holds no word for a split (train, valid, test): its photos "
                "become train."
            )
        files = by_stem(folder, IMAGE_SUFFIXES)
        masks = {
            name: paths
            for name, paths in files.items()
            if name.endswith(MASK_ENDING) and _is_png(paths)
        }
        image_files = {name: paths for name, paths in files.items() if name not in masks}
        for name, paths in image_files.items():
            image = only_one(paths)
            if mask := masks.pop(f"{name}{MASK_ENDING}", None):
                read_labels = partial(_read_labels, only_one(mask), table, unknown)
                items.append(Item(split or "train", name, image, read_labels))
            else:
                missing.append(str(image))
        notes += note_lone([path for paths in masks.values() for path in paths])
    refuse_missing(
        missing,
        "photos have no mask",
        f"Add NAME{MASK_ENDING}{MASK_SUFFIX} beside each, or remove the photos.",
    )
    try:
        labels = LabelSet(tuple(ids.values()), distinct_palette(len(ids)))
    except ConfigError as error:
        raise DataError(f"{folders[0] / CLASSES_FILE}: {error}") from error
    return Source(labels, items, unknown, tuple(notes))


def read_classes(file: Path) -> dict[int, str]:
    """Read lines of a pixel value and a name, below a header.

    Raises:
        DataError: the file is of another form, or a value occurs twice.
    """
    try:
        lines = read_text(file).split("\n")
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    found: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        match = LINE.fullmatch(line)
        if match is None and (number == 1 or not line.strip()):
            continue
        if match is None or int(match[1]) > 255:
            raise DataError(
                f"{file}, line {number}: expected `pixel value, class`, 0 to 255, got "
                f"{shown(line)}."
            )
        if int(match[1]) in found:
            raise DataError(f"{file}, line {number}: the pixel value {match[1]} occurs twice.")
        found[int(match[1])] = match[2].strip()
    if not found:
        raise DataError(f"{file} names no class. Expected lines like `0, background`.")
    return dict(sorted(found.items()))


def _is_png(paths: list[Path]) -> bool:
    return all(path.suffix.lower() == MASK_SUFFIX for path in paths)


def _read_labels(mask: Path, table: dict[int, int], unknown: UnmappedValues) -> np.ndarray:
    return to_class_ids(images.load_labels(mask), table, unknown)
