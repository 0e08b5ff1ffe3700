"""A data set of `images/{split}` and `masks/{split}` folders, described by a YAML file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galago._core.shown import shown
from galago._core.strict_yaml import read_yaml
from galago.data.image_mask_dataset import SPLITS, ImageMaskDataset, Pair, check_pairs, check_split
from galago.data.label_sets import resolve_names
from galago.data.listing import (
    MASK_SUFFIX,
    by_stem,
    describe_others,
    files_in,
    only_one,
    other_files,
    some,
    stem_of,
)
from galago.data.resized import ResizedDataset
from galago.data.sample import Dataset
from galago.data.selection import Selection, read_selection, read_short_side
from galago.errors import ConfigError, DataError
from galago.image import IMAGE_SUFFIXES
from galago.labels import IGNORE_ID, Color, LabelSet, distinct_palette

EXAMPLE_YAML = """\
path: .                  # folder of images/ and masks/, relative to this file
names:                   # one per class; ids in the masks are 0, 1, 2 ...
  0: road
  1: car
ignore_id: 255           # pixels of this id are ignored
# All keys below are optional.
# palette: [[128, 64, 128], [64, 0, 128]]   # one color per class
# label_mapping: {7: 0, 26: car, 30: [road, car], 0: ignore}   # id in the masks -> class or classes
# source_names: [asphalt, wheels]           # names of the ids in the masks, for label_mapping
# not_labeled: [car]                        # classes that masks cannot show, or {road: [car]}
# holdout: [drive7_]                        # images of train whose names start so are val
# only: list.txt                            # names of the images to use, one per line
# short_side: 360                           # pixels that every image's short side is resized to
# train: images/train    # with val and test: where the photos of a split are
# masks_dir: masks       # replaces `images` in the path of the masks
"""
IMAGE_DIR = "images"
# `nc` (class count, checked) and `download` (never run) occur in files written for other tools.
KEYS = frozenset(
    {
        "path",
        "names",
        "palette",
        "ignore_id",
        "label_mapping",
        "masks_dir",
        "nc",
        "download",
        *SPLITS,
    }
)
EXAMPLE_NAME = "road"
KEYS |= {"source_names", "not_labeled", "holdout", "only", "short_side"}
IGNORE_WORDS = ("ignore", "ignore_label")


@dataclass(frozen=True)
class Description:
    """What the YAML file says.

    Attributes:
        root: folder that the other paths start from.
        labels: names and colors of the classes.
        train_ids: from an id in the masks to a class id or 255 = ignore.
        folders: folder of images, by split, relative to the root.
        masks_dir: replaces `images` in the path of the masks.
        mapped: whether the ids in the masks are other ids than those of the classes.
        source_names: what ids in the masks are called, where the file says so.
        selection: which images belong to a split.
        short_side: pixels to which the short side of every image is brought, or None.
    """

    root: Path
    label_set: LabelSet
    train_ids: dict[int, int]
    folders: dict[str, str]
    masks_dir: str
    mapped: bool
    source_names: dict[int, str] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    short_side: int | None = None


def open_folder(description_file: Path, split: str) -> Dataset:
    """Open one split; `images/train/a/b.jpg` belongs to `masks/train/a/b.png` and is called `a/b`.

    Args:
        description_file: YAML file with the keys shown in `EXAMPLE_YAML`.
        split: train, val or test.
    Raises:
        ConfigError: the name of the split is unknown.
        DataError: the YAML is broken, the split is empty, or an image has no mask or a mask no
            image.
    """
    check_split(split)
    description = read_description(description_file)
    part, split = (
        split,
        description.selection.source(split, description.root / description.folders["val"]),
    )
    image_dir = description.root / description.folders[split]
    mask_dir = description.root / mask_folder(
        description.folders[split], description.masks_dir, description_file
    )
    if not image_dir.is_dir():
        there = (
            ", ".join(
                name for name in SPLITS if (description.root / description.folders[name]).is_dir()
            )
            or "none"
        )
        raise DataError(
            f"Split {split} should be in {image_dir}, which is no folder. Splits that are there: "
            f"{there}."
        )
    masks = {name: only_one(files) for name, files in by_stem(mask_dir, (MASK_SUFFIX,)).items()}
    pairs = []
    for image in files_in(image_dir, IMAGE_SUFFIXES):
        name = stem_of(image, image_dir)
        pairs.append(Pair(name, image, masks.get(name, mask_dir / f"{name}{MASK_SUFFIX}")))
    if not pairs and (others := other_files(image_dir)):
        raise DataError(f"{image_dir} holds no photos that galago reads. {describe_others(others)}")
    checked = check_pairs(pairs, str(image_dir))
    _check_lone_masks(checked, masks, image_dir)
    kept = description.selection.select(checked, part, split)
    pairs_set = ImageMaskDataset(description.label_set, kept, description.train_ids)
    return (
        ResizedDataset(pairs_set, description.short_side) if description.short_side else pairs_set
    )


def read_description(file: Path) -> Description:
    """Read and check the YAML file.

    Raises:
        DataError: not YAML, or a key is missing, unknown or of another form; the message names the
            file and the key.
    """
    try:
        raw = read_yaml(file)
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    if not isinstance(raw, dict):
        raise DataError(f"{file} should hold keys and values like this:\n\n{EXAMPLE_YAML}")
    if unknown := sorted(shown(key).strip("'") for key in raw if key not in KEYS):
        raise DataError(
            f"{file} has unknown keys: {some(unknown)}. Known keys: {', '.join(sorted(KEYS))}."
        )
    names = _names(raw.get("names"), file)
    if raw.get("nc", len(names)) != len(names):
        raise DataError(f"{file}: nc is {shown(raw['nc'])}, but there are {len(names)} names.")
    try:
        palette = _palette(raw.get("palette"), len(names), file)
        raw, sets, source_names = resolve_names(raw, names, file)
        labels = LabelSet(names, palette, sets)
    except ConfigError as error:
        raise DataError(f"{file}: {error}") from error
    return Description(
        root=file.parent / _text(raw, "path", ".", file),
        label_set=labels,
        train_ids=_train_ids(raw, len(names) + len(sets), file),
        folders={split: _text(raw, split, f"{IMAGE_DIR}/{split}", file) for split in SPLITS},
        masks_dir=_text(raw, "masks_dir", "masks", file),
        mapped=raw.get("label_mapping") is not None,
        source_names=source_names,
        selection=read_selection(raw, file),
        short_side=read_short_side(raw, file),
    )


def _text(raw: dict[str, Any], key: str, default: str, file: Path) -> str:
    """Return a key that holds text; an empty one counts as missing."""
    value = raw.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise DataError(f"{file}: {key} should be one path, got {shown(value)}.")
    return value


def _names(raw: object, file: Path) -> tuple[str, ...]:
    """Read class names: a list, or a mapping from the ids 0 to K-1."""
    if isinstance(raw, dict):
        if quoted := [key for key in raw if isinstance(key, str)]:
            raise DataError(
                f"{file}: the ids in names should be numbers, got text: "
                f"{some([shown(key) for key in quoted])}. "
                "Write them without quotes and with a space after the colon, such as `0: "
                f"{EXAMPLE_NAME}`."
            )
        if set(raw) != set(range(len(raw))) or not all(type(key) is int for key in raw):
            got = some([shown(key) for key in raw])
            raise DataError(
                f"{file}: names should count the classes 0 to {len(raw) - 1} without a gap, got "
                f"ids {got}. "
                "If the masks hold other ids, say so in label_mapping."
            )
        raw = [raw[index] for index in range(len(raw))]
    if not isinstance(raw, list) or not raw:
        raise DataError(
            f"{file}: names should list the classes, got {shown(raw)}. For "
            f"example:\n\n{EXAMPLE_YAML}"
        )
    if odd := [
        name for name in raw if not isinstance(name, str)
    ]:  # YAML reads a bare `on` or `no` as true or false
        raise DataError(
            f"{file}: class names should be text, got {shown(odd[0])}. Put quotes around it."
        )
    return tuple(raw)


def _palette(raw: object, num_classes: int, file: Path) -> tuple[Color, ...]:
    """Read the colors, or make some up."""
    if raw is None:
        return distinct_palette(num_classes)
    if not isinstance(raw, list) or not all(_is_color(color) for color in raw):
        raise DataError(
            f"{file}: palette should list one [red, green, blue] per class, each 0 to 255."
        )
    return tuple((color[0], color[1], color[2]) for color in raw)


def _unquote(value: object) -> str:
    """Return advice where a number stands in quotes."""
    return (
        " Write the number without quotes."
        if isinstance(value, str) and value.strip().isdecimal()
        else ""
    )


def _is_color(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(channel) is int for channel in value)
    )


def _train_ids(raw: dict[str, Any], num_classes: int, file: Path) -> dict[int, int]:
    """Make the table from ids in the masks to class ids.

    Without a label_mapping ids are class ids.
    """
    ignore_id, mapping = raw.get("ignore_id", IGNORE_ID), raw.get("label_mapping")
    if type(ignore_id) is not int or not 0 <= ignore_id <= 255:
        raise DataError(
            f"{file}: ignore_id should be 0 to 255, got {shown(ignore_id)}.{_unquote(ignore_id)}"
        )
    if mapping is None:
        if ignore_id < num_classes:
            raise DataError(
                f"{file}: ignore_id {ignore_id} is the id of a class too. If ids in the masks are "
                "shifted, "
                f"write a label_mapping, as {{{ignore_id}: ignore, {ignore_id + 1}: 0}}."
            )
        return {index: index for index in range(num_classes)} | {
            ignore_id: IGNORE_ID,
            IGNORE_ID: IGNORE_ID,
        }
    if not isinstance(mapping, dict):
        raise DataError(
            f"{file}: label_mapping should look like {{7: 0, 8: ignore}}, got {shown(mapping)}."
        )
    listed: dict[int, int] = {}
    for source, target in mapping.items():
        source_id, target_id = _source_id(source, file), _target_id(target, num_classes, file)
        if listed.setdefault(source_id, target_id) != target_id:
            raise DataError(
                f"{file}: label_mapping says two things of id 255; -1 is 255 in a mask, too."
            )
    if listed.get(ignore_id, IGNORE_ID) != IGNORE_ID and "ignore_id" in raw:
        raise DataError(
            f"{file}: label_mapping gives id {ignore_id} a class, but ignore_id says that it "
            "is ignored."
        )
    return {ignore_id: IGNORE_ID, IGNORE_ID: IGNORE_ID} | listed


def _source_id(source: object, file: Path) -> int:
    if (
        type(source) is int and source == -1
    ):  # Cityscapes' license plate; an 8-bit mask stores it as 255
        return 255
    if type(source) is not int or not 0 <= source <= 255:
        raise DataError(
            f"{file}: label_mapping maps ids of the masks, 0 to 255, got "
            f"{shown(source)}.{_unquote(source)}"
        )
    return source


def _target_id(target: object, num_classes: int, file: Path) -> int:
    if isinstance(target, str) and target in IGNORE_WORDS:
        return IGNORE_ID
    if type(target) is int and target == IGNORE_ID:
        return IGNORE_ID
    if type(target) is not int or not 0 <= target < num_classes:
        raise DataError(
            f"{file}: label_mapping maps to class ids, 0 to {num_classes - 1}, or `ignore`, "
            f"got {shown(target)}.{_unquote(target)}"
        )
    return target


def mask_folder(image_folder: str, masks_dir: str, file: Path) -> Path:
    """Swap the last `images` in a path for `masks_dir`: `images/train` to `masks/train`,
    `train/images` to `train/masks`.
    """
    parts = list(Path(image_folder).parts)
    if IMAGE_DIR not in parts:
        raise DataError(
            f"{file}: the path {shown(image_folder)} has no folder called `{IMAGE_DIR}`, so that "
            "of its masks is unknown. "
            f"Arrange the files as {IMAGE_DIR}/train and {masks_dir}/train."
        )
    parts[len(parts) - 1 - parts[::-1].index(IMAGE_DIR)] = masks_dir
    return Path(*parts)


def _check_lone_masks(pairs: tuple[Pair, ...], masks: dict[str, Path], image_dir: Path) -> None:
    """Refuse masks without an image: they are most often an image of another name or kind."""
    names = {pair.name for pair in pairs}
    lone = [mask for name, mask in masks.items() if name not in names]
    if not lone:
        return
    others = {stem_of(file, image_dir): file for file in other_files(image_dir)}
    kinds = [others[name] for name in masks if name not in names and name in others]
    advice = describe_others(kinds) if kinds else "Add the photo or remove the mask."
    raise DataError(f"{len(lone)} masks have no photo, the first is {lone[0]}. {advice}")
