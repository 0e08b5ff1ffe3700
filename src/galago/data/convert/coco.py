"""COCO instances: one JSON file per split, with polygons or run lengths."""

import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from galago.data.convert.shapes import draw_segmentation
from galago.data.convert.source import Item, Options, Source, refuse_missing
from galago.errors import ConfigError, DataError
from galago.labels import LabelSet, distinct_palette

BACKGROUND = "background"
# Where the files of a data set lie: COCO itself and CVAT; Roboflow; one beside the photos.
PATTERNS = ("annotations/instances_*.json", "*/_annotations.coco.json", "annotations/*.json", "*.json")
SPLIT_WORDS = {"train": "train", "val": "val", "test": "test"}  # `valid` and `val2017` begin with val


def read_coco(source: Path, options: Options) -> Source:
    """List photos with their annotations; pixels in no annotation are the class `background`, which comes first.

    Args:
        source: a folder as COCO, CVAT or Roboflow lay it out, or one JSON file.
        options: `images` is the folder of the photos; `unknown` ignore skips annotations that are boxes only.
    Raises:
        DataError: a file is broken, photos are missing, or splits have other classes.
    """
    files = [source] if source.is_file() else _find(source)
    if not files:
        raise DataError(f"{source} has no annotation files. Looked for: {', '.join(PATTERNS)}.")
    items: list[Item] = []
    names: list[str] = []
    for file in files:
        found = _Annotations(file, options)
        if names and found.names != names:
            raise DataError(f"{file} has other categories than {files[0]}: {', '.join(found.names)} and {', '.join(names)}.")
        names = found.names
        root = source.parent if source.is_file() else source
        items += found.items(_split(file, source), _photo_folders(file, root, options.images))
    try:
        palette = ((0, 0, 0), *distinct_palette(len(names) - 1))
        return Source(LabelSet(tuple(names), palette), items)
    except ConfigError as error:
        raise DataError(f"{files[0]}: {error}") from error


def _find(source: Path) -> list[Path]:
    for pattern in PATTERNS:
        if files := sorted(source.glob(pattern)):
            return files
    return []


def _split(file: Path, source: Path) -> str:
    """Tell the split from the name of the file or of its folder; train if neither says."""
    for text in (file.stem.removeprefix("instances_"), "" if file == source else file.parent.name):
        for word, split in SPLIT_WORDS.items():
            if text.lower().startswith(word) or f"_{word}" in text.lower():
                return split
    return "train"


def _photo_folders(file: Path, root: Path, images: Path | None) -> list[Path]:
    """List where the photos of a JSON file may lie."""
    if images:
        return [images]
    tag = file.stem.removeprefix("instances_")  # as val2017
    up = file.parent.parent if file.parent.name == "annotations" else root
    return [file.parent, *(base / tail for base in (file.parent, up) for tail in (tag, f"images/{tag}", "images", ""))]


class _Annotations:
    """One JSON file."""

    def __init__(self, file: Path, options: Options) -> None:
        """Read and check it.

        Raises:
            DataError: no JSON, a key is missing, or annotations have no area.
        """
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{file} is not readable as JSON: {error}") from error
        if not isinstance(raw, dict) or not all(
            isinstance(raw.get(key), list) for key in ("images", "annotations", "categories")
        ):
            raise DataError(f"{file} is no COCO file: expected the lists images, annotations and categories.")
        try:
            self._read(raw, file, options)
        except (KeyError, TypeError) as error:
            raise DataError(f"{file} is no COCO file of instances: an entry lacks {error}.") from error

    def _read(self, raw: dict[str, Any], file: Path, options: Options) -> None:
        categories = sorted(raw["categories"], key=lambda category: category["id"])
        self.names = list(
            dict.fromkeys([BACKGROUND, *(category["name"] for category in categories)])
        )  # equal names are one class
        self._ids = {category["id"]: self.names.index(category["name"]) for category in categories}
        self._file, self._images = file, raw["images"]
        self._of_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        boxes = []
        for annotation in raw["annotations"]:
            if annotation["category_id"] not in self._ids:
                raise DataError(
                    f"{file}: annotation {annotation.get('id')} has the unknown category {annotation['category_id']}."
                )
            if annotation.get("segmentation"):
                self._of_image[annotation["image_id"]].append(annotation)
            else:
                boxes.append(str(annotation.get("id")))
        if options.unknown == "error":
            advice = "Boxes say nothing about pixels: label areas. --unknown ignore leaves them out, as background."
            refuse_missing(boxes, f"annotations of {file} have a box and no area, by id", advice)
        if lost := self._of_image.keys() - {photo["id"] for photo in self._images}:
            raise DataError(f"{file}: annotations belong to {len(lost)} images that it does not list, as {min(lost, key=str)!r}.")

    def items(self, split: str, folders: list[Path]) -> list[Item]:
        """List the photos.

        Raises:
            DataError: some are missing.
        """
        items, missing = [], []
        for entry in self._images:
            name = Path(entry["file_name"])
            photo = next((file for folder in folders if (file := folder / name).is_file()), None)
            if photo is None:
                missing.append(entry["file_name"])
                continue
            relative = Path(name.name) if name.is_absolute() or ".." in name.parts else name
            items.append(Item(split, relative.with_suffix("").as_posix(), photo, partial(self._draw, entry)))
        looked = ", ".join(dict.fromkeys(str(folder) for folder in folders))
        refuse_missing(missing, f"photos of {self._file} are missing", f"Looked in {looked}. Name their folder with --images.")
        return items

    def _draw(self, entry: dict[str, Any]) -> np.ndarray:
        """Draw the annotations of a photo, the largest first, so that small things in front stay visible."""
        size = int(entry["height"]), int(entry["width"])
        labels = np.full(size, self.names.index(BACKGROUND), np.uint8)
        masks = []
        for annotation in self._of_image.get(entry["id"], []):
            try:
                mask = draw_segmentation(annotation["segmentation"], size)
            except DataError as error:
                raise DataError(f"{self._file}: annotation {annotation.get('id')} of {entry['file_name']}: {error}.") from error
            masks.append((int(mask.sum()), np.packbits(mask, axis=1), self._ids[annotation["category_id"]]))
        for _, packed, index in sorted(masks, key=lambda mask: -mask[0]):
            labels[np.unpackbits(packed, axis=1, count=size[1]).astype(bool)] = index
        return labels
