"""ADE20K of the scene parsing benchmark: images/, annotations/, 150 classes counted from 1."""

import re
from functools import partial
from pathlib import Path

import numpy as np

from galago import image as images
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
from galago.data.listing import MASK_SUFFIX, by_stem, files_in, only_one, stem_of
from galago.errors import DataError
from galago.image import IMAGE_SUFFIXES
from galago.labels import IGNORE_ID, LabelSet, distinct_palette

FOLDERS = {"train": "training", "val": "validation"}
NAMES_FILE = "objectInfo150.txt"
CLASSES = 150
IDS = {0: IGNORE_ID} | {index + 1: index for index in range(CLASSES)}  # 0 is everything else


def read_ade20k(source: Path, options: Options) -> Source:
    """List images with their annotations.

    Raises:
        DataError: the folders are missing, an image has no annotation, or the file of names is
            broken.
    """
    unknown = UnmappedValues(
        "ids",
        f"Masks of the benchmark hold 0 to {CLASSES}; the full ADE20K has other files, which do "
        "not fit.",
    )
    items: list[Item] = []
    missing: list[str] = []
    lone: list[Path] = []
    for split, folder in FOLDERS.items():
        image_dir, mask_dir = source / "images" / folder, source / "annotations" / folder
        masks = by_stem(mask_dir, (MASK_SUFFIX,))
        for image in files_in(image_dir, IMAGE_SUFFIXES):
            name = stem_of(image, image_dir)
            if name in masks:
                items.append(
                    Item(split, name, image, partial(_read_labels, only_one(masks[name]), unknown))
                )
            else:
                missing.append(str(mask_dir / f"{name}{MASK_SUFFIX}"))
        names = {item.name for item in items if item.split == split}
        lone += [path for name, paths in masks.items() if name not in names for path in paths]
    if not items and not missing:
        raise DataError(
            f"{source} has no photos in images/{FOLDERS['train']}. Expected ADEChallengeData2016 "
            "unpacked."
        )
    refuse_missing(missing, "annotations are missing", "Unpack the whole ADEChallengeData2016.")
    return Source(
        LabelSet(read_names(source / NAMES_FILE), distinct_palette(CLASSES)),
        items,
        unknown,
        tuple(note_lone(lone)),
    )


def read_names(file: Path) -> tuple[str, ...]:
    """Read the names of the classes, the first of each list of synonyms, or count the classes where
    there is no file.

    Raises:
        DataError: the file does not name 150 classes.
    """
    if not file.is_file():
        return tuple(f"class {index + 1}" for index in range(CLASSES))
    try:
        rows = [line.split("\t") for line in read_text(file).split("\n")]
    except ValueError as error:
        raise DataError(str(error)) from error
    pairs = [
        (int(row[0]), row[-1].strip())
        for row in rows
        if re.fullmatch("[0-9]{1,3}", row[0].strip()) and len(row) > 1
    ]
    names = dict(pairs)
    if len(names) < len(pairs):
        raise DataError(
            f"{file} names {len(pairs) - len(names)} ids twice. Get it anew from the benchmark."
        )
    if set(names) != set(range(1, CLASSES + 1)) or not all(names.values()):
        raise DataError(
            f"{file} should name {CLASSES} classes in lines of an id, a tabulator ... and a name; "
            f"it names {len(names)}."
        )
    full = [names[index + 1] for index in range(CLASSES)]
    short = [re.split(r"[,;]", name)[0].strip() for name in full]
    return tuple(
        name if short.count(name) == 1 else whole for name, whole in zip(short, full, strict=True)
    )


def _read_labels(mask: Path, unknown: UnmappedValues) -> np.ndarray:
    return to_class_ids(images.load_labels(mask), IDS, unknown)
