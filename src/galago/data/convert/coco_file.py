"""One COCO file, checked as a whole before anything of it is drawn."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galago import image as images
from galago._core.printable import printable
from galago._core.shown import shown
from galago._core.text_files import read_text
from galago.data.convert.coco_images import ImageFinder
from galago.data.convert.coco_shapes import Rle, check_segmentation
from galago.errors import DataError, ImageError

Id = int | str
LISTS = ("images", "annotations", "categories")
MAX_DIGITS = 4000  # of a whole number; Python reads 4300


@dataclass
class CocoImage:
    """An image and its areas.

    Attributes:
        name: in the data set; `/` between folders, no suffix.
        image: its file.
        size: (height, width) in pixels, that of the image.
        shapes: checked areas, each with the id of its category.
    """

    name: str
    image: Path
    size: tuple[int, int]
    shapes: list[tuple[list[list[float]] | Rle, Id]] = field(default_factory=list)


@dataclass
class Category:
    """A class, and the name of what it is a kind of."""

    name: str
    parent: str | None
    used: bool = False


class CocoFile:
    """What a file holds.

    Attributes:
        file: where it was read.
        categories: by id, in the order of the ids.
        images: the sound ones, in the order of the file.
        faults: what is wrong, a line for each; such images and annotations are in no list here.
        flat: annotations or parts of them that have no area, a line for each; left out, too.
    """

    def __init__(self, file: Path, finder: ImageFinder) -> None:
        """Read and check it.

        Raises:
            DataError: it is no COCO file, or its categories are broken.
        """
        raw = read_coco_json(file)
        self.file, self._finder = file, finder
        self.faults: list[str] = []
        self.flat: list[str] = []
        self.categories = _read_categories(raw["categories"], file)
        self.images: list[CocoImage] = []
        self._by_id: dict[Id, CocoImage | None] = {}  # None: it has a fault, told already
        missing = list(self._read_images(raw["images"]))
        if missing:
            self.faults.append(
                f"{len(missing)} photos are missing: "
                f"{', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}. "
                f"Looked in {finder.looked_in}; name their folder with --images"
            )
        for number, entry in enumerate(raw["annotations"]):
            self._read_annotation(entry, number)

    def _read_images(self, entries: list[Any]) -> Iterator[str]:
        """Read the list of images; yields the names of those that are not found."""
        ids = Counter(_id(entry.get("id")) for entry in entries if isinstance(entry, dict))
        image_files: dict[Path, str] = {}
        for number, entry in enumerate(entries):
            where = _where("image", entry, number)
            found_id = _id(entry.get("id")) if isinstance(entry, dict) else None
            if found_id is None:
                self.faults.append(
                    f"{where}: expected an id that is a number or text, got {_of(entry, 'id')}"
                )
                continue
            self._by_id[found_id] = None
            if (count := ids[found_id]) > 1:
                fault = (
                    f"{where}: {count} images have this id, so that it is unclear whose the "
                    "areas are"
                )
                self.faults += [] if fault in self.faults else [fault]
                continue
            name = entry.get("file_name")
            if not isinstance(name, str) or not name.strip():
                self.faults.append(f"{where}: expected a file_name, got {_of(entry, 'file_name')}")
                continue
            if (found := self._finder.find(name)) is None:
                yield shown(name).strip("'")
                continue
            image, sample = found
            if other := image_files.get(image):
                self.faults.append(f"{where}: its photo {image} is that of {other}, too")
                continue
            image_files[image] = where
            try:
                size = _image_size(image, entry)
            except DataError as error:
                self.faults.append(f"{where}, {printable(image.name)}: {error}")
                continue
            self._by_id[found_id] = CocoImage(sample, image, size)
            self.images.append(self._by_id[found_id])  # type: ignore[arg-type]

    def _read_annotation(self, entry: Any, number: int) -> None:
        where = _where("annotation", entry, number)
        if not isinstance(entry, dict):
            self.faults.append(f"{where}: expected keys and values, got {shown(entry)}")
            return
        image_id, category_id = _id(entry.get("image_id")), _id(entry.get("category_id"))
        if image_id is None or image_id not in self._by_id:
            hint = _other_type(image_id, self._by_id)
            self.faults.append(
                f"{where}: there is no image {_of(entry, 'image_id')}, the image_id{hint}"
            )
            return
        if (owner := self._by_id[image_id]) is None:
            return
        where = f"{where} of {printable(owner.image.name)}"
        if category_id is None or category_id not in self.categories:
            hint = _other_type(category_id, self.categories)
            self.faults.append(
                f"{where}: there is no category {_of(entry, 'category_id')}, the category_id{hint}"
            )
            return
        self.categories[category_id].used = True
        if not entry.get("segmentation"):
            self.faults.append(f"{where}: has a box and no area; boxes say nothing about pixels")
            return
        try:
            shape, num_flat = check_segmentation(entry["segmentation"], owner.size)
        except DataError as error:
            self.faults.append(f"{where}: {error}")
            return
        if num_flat:
            self.flat.append(where)
        if shape:
            owner.shapes.append((shape, category_id))


def read_coco_json(file: Path) -> dict[str, Any]:
    """Read the lists of a COCO file.

    NaN and numbers without bound, which JSON does not have and Python reads, pass here: they are
    told where they stand, and do not matter in fields that are not read.

    Raises:
        DataError: no JSON, a key twice in one object, or a list is missing.
    """
    try:
        text = read_text(file)
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    try:
        raw = json.loads(text, object_pairs_hook=_unique, parse_int=_whole)
    except RecursionError as error:
        raise DataError(
            f"{file} is not readable as JSON: too many brackets within each other."
        ) from error
    except ValueError as error:
        raise DataError(f"{file} is not readable as JSON: {printable(error)}") from error
    if not isinstance(raw, dict) or not all(isinstance(raw.get(key), list) for key in LISTS):
        raise DataError(f"{file} is no COCO file: expected the lists {', '.join(LISTS)}.")
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shown(twice)} occurs twice in one object")
    return content


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _read_categories(entries: list[Any], file: Path) -> dict[Id, Category]:
    """Check the categories; a fault of theirs is one of everything.

    Raises:
        DataError: one lacks an id or a name, or two have one id.
    """
    found: dict[Id, Category] = {}
    faults = []
    for number, entry in enumerate(entries):
        where = _where("category", entry, number)
        key = _id(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if key is None:
            faults.append(
                f"{where}: expected an id that is a number or text, got {_of(entry, 'id')}"
            )
        elif key in found:
            faults.append(
                f"{where}: two categories have this id, {shown(found[key].name)} and {shown(name)}"
            )
        elif not isinstance(name, str) or not name.strip() or not _is_text(name):
            faults.append(f"{where}: expected a name that is text, got {shown(name)}")
        else:
            parent = entry.get("supercategory")
            found[key] = Category(name, parent if isinstance(parent, str) else None)
    if faults:
        raise DataError(
            f"{file}: the categories are broken.\n"
            + list_faults(faults)
            + "\nMend them in the file."
        )
    if len({type(key) for key in found}) > 1:
        raise DataError(
            f"{file}: some ids of categories are numbers and some are text. Write all in one way."
        )
    return dict(sorted(found.items(), key=lambda entry: entry[0]))


def list_faults(faults: list[str], most: int = 20) -> str:
    """Write faults one a line, the first so many of them."""
    rest = len(faults) - most
    return "\n".join(
        [f"  {fault}" for fault in faults[:most]] + ([f"  and {rest:,} more"] if rest > 0 else [])
    )


def _image_size(image: Path, entry: dict[str, Any]) -> tuple[int, int]:
    """Return (height, width) of the image, which the entry may leave out but not contradict.

    Raises:
        DataError: the image cannot be read, or the entry says something else.
    """
    try:
        header = images.read_header(image)
        height, width = header.upright_size or images.load(image).shape[:2]
    except ImageError as error:
        raise DataError(f"cannot be read: {str(error).rstrip('.')}") from error
    said = entry.get("height"), entry.get("width")
    if all(side in (None, true) for side, true in zip(said, (height, width), strict=True)):
        return height, width
    text = (
        f"its height and width should be {height} and {width} as in the photo, got "
        f"{shown(said[0])} and {shown(said[1])}"
    )
    if said == header.size:
        text += (
            "; the labels were drawn on the photo unturned, without its EXIF orientation "
            f"{header.orientation}"
        )
    raise DataError(text)


def _id(value: object) -> Id | None:
    """Return an id that can be compared, 1 for 1.0, or None if it is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) in (int, str) else None  # type: ignore[return-value]


def _other_type(key: Id | None, table: dict[Id, Any]) -> str:
    """Say so where an id is text on one side and a number on the other."""
    if (
        isinstance(key, str)
        and key.strip().lstrip("-").isdecimal()
        and len(key) < 20
        and int(key) in table
    ):
        return "; it is text here and a number there"
    if isinstance(key, int) and abs(key) < 1 << 63 and str(key) in table:
        return "; it is a number here and text there"
    return ""


def _of(entry: object, key: str) -> str:
    if not isinstance(entry, dict):
        return shown(entry)
    return shown(entry[key]) if key in entry else "none"


def _where(kind: str, entry: object, number: int) -> str:
    """Name an entry by its id, or by its place in the list."""
    if isinstance(entry, dict) and "id" in entry:
        return f"{kind} {shown(entry['id'])}"
    return f"{kind} in place {number + 1} of the list"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half a character, as "\ud800" names it
        return False
    return True
