"""Cityscapes: leftImg8bit/ and gtFine/, its 34 ids to the 19 that are trained and scored."""

from functools import partial
from pathlib import Path

import numpy as np

from galago import image
from galago.data.convert.source import Item, Options, Source, refuse_missing
from galago.data.pairs import SPLITS
from galago.errors import DataError
from galago.labels import IGNORE_ID, LabelSet

PHOTO_ENDING, MASK_ENDING = "_leftImg8bit", "_gtFine_labelIds"
# labelId of each train id, names and colors: github.com/mcordts/cityscapesScripts, helpers/labels.py.
SOURCE_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES = LabelSet(
    names=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
        "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    palette=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
        (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip


def read_cityscapes(source: Path, options: Options) -> Source:
    """List photos with their labelIds; all other ids become ignore. The masks of test hold no classes.

    Raises:
        DataError: the folders are missing, or a photo has no mask.
    """
    items, missing = [], []
    for split in SPLITS:
        photo_dir = source / "leftImg8bit" / split
        for photo in sorted(photo_dir.rglob(f"*{PHOTO_ENDING}.png")):
            name = photo.relative_to(photo_dir).with_suffix("").as_posix().removesuffix(PHOTO_ENDING)
            mask = source / "gtFine" / split / f"{name}{MASK_ENDING}.png"
            items.append(Item(split, name, photo, partial(_draw, mask)))
            if not mask.is_file():
                missing.append(str(mask))
    if not items:
        raise DataError(
            f"{source} has no photos leftImg8bit/train/CITY/*{PHOTO_ENDING}.png. Unpack leftImg8bit_trainvaltest there."
        )
    refuse_missing(missing, "masks are missing", "Unpack gtFine_trainvaltest beside leftImg8bit.")
    return Source(CITYSCAPES, items)


def _draw(mask: Path) -> np.ndarray:
    table = np.full(256, IGNORE_ID, np.uint8)
    table[list(SOURCE_IDS)] = np.arange(len(SOURCE_IDS))
    labels: np.ndarray = table[image.load_labels(mask)]
    return labels
