"""The files of a data set, complete or not, for the data check."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from galago.data import locate
from galago.data.camvid import TRAIN_IDS, lines_of, read_line
from galago.data.folder import Description, mask_folder, read_description
from galago.data.image_mask_dataset import SPLITS
from galago.data.listing import MASK_SUFFIX, by_stem, files_in, other_files, stem_of
from galago.errors import DataError
from galago.image import IMAGE_SUFFIXES
from galago.labels import CAMVID, LabelSet


@dataclass(frozen=True)
class Item:
    """An image, a mask, or both.

    Attributes:
        split: train, val or test.
        name: that of the sample, in its split.
        image: its file, or where it should be.
        mask: its file, of any suffix, or where it should be.
    """

    split: str
    name: str
    image: Path
    mask: Path
    has_image: bool = True
    has_mask: bool = True

    @property
    def shown(self) -> str:
        """Split and name, as reports write them."""
        return f"{self.split}/{self.name}"


@dataclass(frozen=True)
class Layout:
    """What a data set consists of.

    Attributes:
        labels: names and colors of the classes.
        train_ids: from an id in the masks to a class id or 255 = ignore.
        mapped: whether the ids come from a `label_mapping` of the YAML.
        places: where images of a split should be, by split; those that are there have a list in
            `items`.
        items: the files, by split.
        bad_lines: what is wrong with lines of lists.
        others: files among images and masks that have another suffix than an image.
        rivals: masks that share a name with the mask of an image, each with that mask.
        source_names: what ids in the masks are called, where the YAML says so.
    """

    label_set: LabelSet
    train_ids: Mapping[int, int]
    mapped: bool
    places: dict[str, Path]
    items: dict[str, list[Item]]
    bad_lines: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    rivals: dict[Path, Path] = field(default_factory=dict)
    source_names: Mapping[int, str] = field(default_factory=dict)


def read_layout(path: str | Path) -> Layout:
    """List the files of all splits of a data set.

    Args:
        path: as `galago.data.open_dataset` takes it.
    Raises:
        DataError: nothing is there, or its description is broken. Missing files are none of these.
    """
    found = locate(path)
    return _read_camvid(found) if found.is_dir() else _read_folder(found)


def _read_folder(description_file: Path) -> Layout:
    description = read_description(description_file)
    places = {split: description.root / description.folders[split] for split in SPLITS}
    items: dict[str, list[Item]] = {}
    others: list[Path] = []
    rivals: dict[Path, Path] = {}
    for split, image_dir in places.items():
        mask_dir = description.root / mask_folder(
            description.folders[split], description.masks_dir, description_file
        )
        if image_dir.is_dir():
            masks = {
                name: _likeliest(files) for name, files in by_stem(mask_dir, IMAGE_SUFFIXES).items()
            }
            rivals |= {rival: files[0] for files in masks.values() for rival in files[1:]}
            items[split] = _match(
                split, image_dir, mask_dir, {name: files[0] for name, files in masks.items()}
            )
            others += [file for folder in (image_dir, mask_dir) for file in other_files(folder)]
    items = _selected(items, description)
    return Layout(
        description.label_set,
        description.train_ids,
        description.mapped,
        places,
        items,
        others=others,
        rivals=rivals,
        source_names=description.source_names,
    )


def _selected(items: dict[str, list[Item]], description: Description) -> dict[str, list[Item]]:
    """Leave out what `only` does not list, and make val from what `holdout` takes out of train."""
    selection, parts = description.selection, {}
    for part in SPLITS:
        split = selection.source(part, description.root / description.folders["val"])
        if split in items:
            parts[part] = [
                replace(item, split=part)
                for item in items[split]
                if selection.keeps(item.name, part, split)
            ]
    return parts


def _likeliest(masks: list[Path]) -> list[Path]:
    """Put the mask that is looked for, a PNG, before others of its name."""
    return sorted(
        masks, key=lambda mask: (mask.suffix.lower() != MASK_SUFFIX, mask.suffix != MASK_SUFFIX)
    )


def _match(split: str, image_dir: Path, mask_dir: Path, masks: dict[str, Path]) -> list[Item]:
    """Bring images and masks of one name together."""
    items, used = [], set()
    for image in files_in(image_dir, IMAGE_SUFFIXES):
        name = stem_of(image, image_dir)
        used.add(name)
        items.append(
            Item(
                split,
                name,
                image,
                masks.get(name, mask_dir / f"{name}.png"),
                has_mask=name in masks,
            )
        )
    lone = (name for name in masks if name not in used)
    return items + [
        Item(split, name, image_dir / name, masks[name], has_image=False) for name in lone
    ]


def _read_camvid(root: Path) -> Layout:
    places = {split: root / f"{split}.txt" for split in SPLITS}
    items: dict[str, list[Item]] = {}
    bad_lines = []
    for split, list_file in places.items():
        if not list_file.is_file():
            continue
        items[split] = []
        for where, line in lines_of(list_file):
            try:
                pair = read_line(root, line, where)
            except DataError as error:
                bad_lines.append(str(error))
                continue
            items[split].append(
                Item(
                    split,
                    pair.name,
                    pair.image,
                    pair.mask,
                    has_image=pair.image.is_file(),
                    has_mask=pair.mask.is_file(),
                )
            )
    return Layout(CAMVID, TRAIN_IDS, False, places, items, bad_lines)
