"""ADE20K as the scene parsing benchmark has it: images/, annotations/, 150 classes counted from 1."""

import re
from functools import partial
from pathlib import Path

import numpy as np

from galago import image
from galago.data.convert.source import Item, Options, Source, Unknown, refuse_missing, to_class_ids
from galago.data.listing import PHOTO_SUFFIXES, files_in
from galago.errors import DataError
from galago.labels import IGNORE_ID, LabelSet, distinct_palette

FOLDERS = {"train": "training", "val": "validation"}
NAMES_FILE = "objectInfo150.txt"
CLASSES = 150
IDS = {0: IGNORE_ID} | {index + 1: index for index in range(CLASSES)}  # 0 is everything else


def read_ade20k(source: Path, options: Options) -> Source:
    """List photos with their annotations.

    Raises:
        DataError: the folders are missing, a photo has no annotation, or the file of names is broken.
    """
    unknown = Unknown("ids", f"Masks of the benchmark hold 0 to {CLASSES}; the full ADE20K has other files, which do not fit.")
    items, missing = [], []
    for split, folder in FOLDERS.items():
        photo_dir = source / "images" / folder
        for photo in files_in(photo_dir, PHOTO_SUFFIXES):
            name = photo.relative_to(photo_dir).with_suffix("").as_posix()
            mask = source / "annotations" / folder / f"{name}.png"
            items.append(Item(split, name, photo, partial(_draw, mask, unknown)))
            if not mask.is_file():
                missing.append(str(mask))
    if not items:
        raise DataError(f"{source} has no photos in images/{FOLDERS['train']}. Expected ADEChallengeData2016 unpacked.")
    refuse_missing(missing, "annotations are missing", "Unpack the whole ADEChallengeData2016.")
    return Source(LabelSet(read_names(source / NAMES_FILE), distinct_palette(CLASSES)), items, unknown)


def read_names(file: Path) -> tuple[str, ...]:
    """Read the names of the classes, the first of each list of synonyms, or count the classes where there is no file.

    Raises:
        DataError: the file does not name 150 classes.
    """
    if not file.is_file():
        return tuple(f"class {index + 1}" for index in range(CLASSES))
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    names = {int(row[0]): row[-1].strip() for row in rows if row[0].strip().isdecimal() and len(row) > 1}
    if set(names) != set(range(1, CLASSES + 1)) or not all(names.values()):
        raise DataError(
            f"{file} should name {CLASSES} classes in lines of an id, a tabulator ... and a name; it names {len(names)}."
        )
    full = [names[index + 1] for index in range(CLASSES)]
    short = [re.split(r"[,;]", name)[0].strip() for name in full]
    return tuple(name if short.count(name) == 1 else whole for name, whole in zip(short, full, strict=True))


def _draw(mask: Path, unknown: Unknown) -> np.ndarray:
    return to_class_ids(image.load_labels(mask), IDS, unknown)
