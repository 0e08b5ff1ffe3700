"""Cityscapes: leftImg8bit/ and gtFine/, its 34 ids to the 19 that are trained and scored."""

from functools import partial
from pathlib import Path

import numpy as np

from galago import image as images
from galago.data.convert.source import Item, Options, Source, refuse_missing
from galago.data.id_lookup import IdLookup
from galago.data.image_mask_dataset import SPLITS
from galago.data.listing import MASK_SUFFIX, by_stem, files_in, only_one, stem_of
from galago.errors import DataError
from galago.labels import CITYSCAPES

IMAGE_ENDING, MASK_ENDING = "_leftImg8bit", "_gtFine_labelIds"
# labelId of each train id: github.com/mcordts/cityscapesScripts, helpers/labels.py.
SOURCE_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LOOKUP = IdLookup({source: target for target, source in enumerate(SOURCE_IDS)})


def read_cityscapes(source: Path, options: Options) -> Source:
    """List images with their labelIds.

    All other ids become ignore. The masks of test hold no classes.

    Raises:
        DataError: the folders are missing, or an image has no mask.
    """
    items: list[Item] = []
    missing: list[str] = []
    for split in SPLITS:
        image_dir, mask_dir = source / "leftImg8bit" / split, source / "gtFine" / split
        masks = by_stem(mask_dir, (MASK_SUFFIX,))
        for image in files_in(image_dir, (".png",)):
            if not image.stem.endswith(IMAGE_ENDING):
                continue
            name = stem_of(image, image_dir).removesuffix(IMAGE_ENDING)
            if found := masks.get(f"{name}{MASK_ENDING}"):
                items.append(Item(split, name, image, partial(_read_labels, only_one(found))))
            else:
                missing.append(str(mask_dir / f"{name}{MASK_ENDING}{MASK_SUFFIX}"))
    if not items and not missing:
        raise DataError(
            f"{source} has no photos leftImg8bit/train/CITY/*{IMAGE_ENDING}.png. Unpack "
            "leftImg8bit_trainvaltest there."
        )
    refuse_missing(missing, "masks are missing", "Unpack gtFine_trainvaltest beside leftImg8bit.")
    return Source(CITYSCAPES, items)


def _read_labels(mask: Path) -> np.ndarray:
    return LOOKUP(images.load_labels(mask))
