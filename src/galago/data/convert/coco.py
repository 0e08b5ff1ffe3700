"""COCO instances: one JSON file per split, with polygons or run lengths."""

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from galago._core.file_walk import is_hidden
from galago._core.shown import shown
from galago.data.convert.coco_file import CocoFile, CocoImage, Id, list_faults
from galago.data.convert.coco_images import ImageFinder
from galago.data.convert.coco_shapes import Areas
from galago.data.convert.source import Item, Options, Source
from galago.data.convert.splits import split_of
from galago.data.listing import some
from galago.errors import ConfigError, DataError
from galago.labels import LabelSet, distinct_palette

BACKGROUND = "background"
# Where the files of a data set are: COCO itself and CVAT; Roboflow; one beside the images.
PATTERNS = (
    "annotations/instances_*.json",
    "*/_annotations.coco.json",
    "annotations/*.json",
    "*.json",
)


def read_coco(source: Path, options: Options) -> Source:
    """List images with their annotations.

    Pixels in no annotation are the class `background`, which comes first.

    All files are checked as a whole first, and all faults are told at once.

    Args:
        source: a folder as COCO, CVAT or Roboflow lay it out, or one JSON file.
        options: `images` is the folder of the images; `unknown` ignore leaves out what has a fault.
    Raises:
        DataError: a file is broken, images or areas are missing or broken, or splits have other
            classes.
        MissingDependencyError: pycocotools is not installed.
    """
    areas = Areas()
    files = [source] if source.is_file() else _find(source)
    if not files:
        raise DataError(f"{source} has no annotation files. Looked for: {', '.join(PATTERNS)}.")
    root = source.parent if source.is_file() else source
    found = [CocoFile(file, _finder(file, root, options.images)) for file in files]
    notes = _check_faults(found, options)
    roots = _drop_roots(found)
    notes += [
        f"The category {shown(name)} is what others are kinds of, and no area has it: left out."
        for name in roots
    ]
    names = _class_names(found)
    notes += _describe_odd(found)
    items: list[Item] = []
    for coco in found:
        split = _split(coco.file, source)
        if split is None:
            notes.append(
                f"The name of {coco.file} holds no word for a split (train, val, test): its photos "
                "become train."
            )
        class_ids = {key: names.index(category.name) for key, category in coco.categories.items()}
        items += [
            Item(split or "train", i.name, i.image, partial(_draw, i, class_ids, areas))
            for i in coco.images
        ]
    try:
        palette = ((0, 0, 0), *distinct_palette(len(names) - 1))
        return Source(
            LabelSet(tuple(names), palette), items, notes=tuple(notes), dropped=tuple(roots)
        )
    except ConfigError as error:
        raise DataError(f"{files[0]}: {error}") from error


def _find(source: Path) -> list[Path]:
    for pattern in PATTERNS:
        if files := [file for file in sorted(source.glob(pattern)) if not is_hidden(file.name)]:
            return files
    return []


def _split(file: Path, source: Path) -> str | None:
    """Tell the split from the name of the file, else from that of its folder."""
    return split_of(file.stem) or (None if file == source else split_of(file.parent.name))


def _finder(file: Path, root: Path, images: Path | None) -> ImageFinder:
    """Return the finder of the images of a JSON file."""
    if images:
        return ImageFinder([images], last_part=True)
    tag = file.stem.removeprefix("instances_")  # as val2017
    up = file.parent.parent if file.parent.name == "annotations" else root
    places = [
        base / tail for base in (file.parent, up) for tail in (tag, f"images/{tag}", "images", "")
    ]
    return ImageFinder([file.parent, *places], last_part=False)


def _check_faults(found: list[CocoFile], options: Options) -> list[str]:
    """Return notes on what is left out.

    Raises:
        DataError: there are faults, and leaving them out is not requested, or nothing is left.
    """
    faults = [
        (f"{coco.file}: " if len(found) > 1 else "") + fault
        for coco in found
        for fault in coco.faults
    ]
    flat = [where for coco in found for where in coco.flat]
    if faults and (options.unknown == "error" or not any(coco.images for coco in found)):
        ways = "or leave out what is faulty with --unknown ignore: its areas become background."
        where = str(found[0].file) if len(found) == 1 else "The COCO files"
        if len(faults) == 1:
            raise DataError(f"{where}: {faults[0]}. Mend it, {ways}")
        raise DataError(
            f"{where}: {len(faults):,} faults.\n{list_faults(faults)}\nMend them, {ways}"
        )
    notes = [f"Left out, with {len(faults):,} faults:\n{list_faults(faults)}"] if faults else []
    if flat:
        notes.append(
            "Left out, for they have no area (less than three points, or all on one line): "
            f"polygons in {some(flat)}."
        )
    return notes


def _drop_roots(found: list[CocoFile]) -> list[str]:
    """Take out categories that others are kinds of and that no annotation has, as Roboflow writes.

    Return their names.
    """
    used = {
        category.name for coco in found for category in coco.categories.values() if category.used
    }
    dropped: list[str] = []
    for coco in found:
        categories = coco.categories
        roots = [
            key
            for key, category in categories.items()
            if not category.used
            and any(key != other and category.name == c.parent for other, c in categories.items())
        ]
        for key in roots:
            name = categories[key].name
            twins = sum(category.name == name for category in categories.values()) > 1
            if name not in used or twins:
                del categories[key]
                dropped += [] if twins else [name]
    return list(dict.fromkeys(dropped))


def _class_names(found: list[CocoFile]) -> list[str]:
    """Return the classes, equal names once.

    Raises:
        DataError: two files have other ones.
    """
    lists = [
        list(dict.fromkeys([BACKGROUND, *(c.name for c in coco.categories.values())]))
        for coco in found
    ]
    for coco, names in zip(found, lists, strict=True):
        if names != lists[0]:
            first = found[0].file
            raise DataError(
                f"{coco.file} has other categories than {first}: {', '.join(names)} and "
                f"{', '.join(lists[0])}."
            )
    return lists[0]


def _describe_odd(found: list[CocoFile]) -> list[str]:
    """Return notes on what is converted and may not be meant: categories of one name, files without
    any area.
    """
    notes = []
    for coco in found:
        counts = Counter(category.name for category in coco.categories.values())
        if twice := [shown(name) for name, count in counts.items() if count > 1]:
            notes.append(
                f"{coco.file} has several categories of one name, which become one class: "
                f"{some(twice)}."
            )
        if not any(image.shapes for image in coco.images):
            notes.append(
                f"{coco.file} has no area of any class: its photos are {BACKGROUND} as a whole."
            )
    return notes


def _draw(item: CocoImage, class_ids: dict[Id, int], areas: Areas) -> np.ndarray:
    """Draw the annotations of an image; returns (H, W) uint8 class ids."""
    labels = np.zeros(item.size, np.uint8)
    areas.draw([(shape, class_ids[key]) for shape, key in item.shapes], labels)
    return labels
