"""Images in one folder per class, as ImageNet has them: what a backbone is pre-trained on."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from galago import image as images
from galago.data.class_tars import ClassTars, find_class_tars, open_class_tars
from galago.data.listing import files_in
from galago.errors import DataError
from galago.image import IMAGE_SUFFIXES

SHOWN_SHARE = 0.95  # of an image's short side, where nothing is random


@dataclass(frozen=True)
class ClassFolders:
    """Images and the class of each.

    Attributes:
        names: of the classes, in the order of their ids.
        images: the files, in order.
        class_ids: of each image.
    """

    names: tuple[str, ...]
    images: tuple[Path, ...]
    class_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Read image `index`, 0 to len - 1: (H, W, 3) uint8 RGB and its class id.

        Raises:
            ImageError: the file cannot be read.
        """
        return images.load(self.images[index]), self.class_ids[index]


def open_classes(root: Path, split: str) -> ClassFolders | ClassTars:
    """Open one split of class folders, as `open_class_folders`, or of tar files, as
    `open_class_tars`.

    Raises:
        DataError: as these; or a split has folders and tar files.
    """
    tars = find_class_tars(root, split)
    if not tars:
        return open_class_folders(root, split)
    if (root / split).is_dir() and any(
        path.is_dir() and not path.name.startswith(".") for path in (root / split).iterdir()
    ):
        raise DataError(
            f"{root / split} is there beside {tars[0].name}: folders and tar files. Keep one of "
            "both."
        )
    return open_class_tars(root, split)


def open_class_folders(root: Path, split: str) -> ClassFolders:
    """Open one split, `ROOT/SPLIT/CLASS/image.jpg`.

    Classes are the folders' names in alphabetical order.

    Raises:
        DataError: the folder is missing, or has no two classes, or a class has no images.
    """
    folder = root / split
    if not folder.is_dir():
        raise DataError(
            f"There is no {folder}. Put photos into {root}/train/CLASS and {root}/val/CLASS, one "
            "folder per class, or into "
            f"{root}/train/CLASS.tar."
        )
    classes = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(classes) < 2:
        raise DataError(
            f"{folder} should hold one folder of photos for each of at least 2 classes, found "
            f"{len(classes)}."
        )
    images: list[Path] = []
    class_ids: list[int] = []
    for class_id, path in enumerate(classes):
        files = list(files_in(path, IMAGE_SUFFIXES))
        if not files:
            raise DataError(
                f"The class folder {path} holds no photos ({', '.join(IMAGE_SUFFIXES)}). Remove it "
                "or fill it."
            )
        images += files
        class_ids += [class_id] * len(files)
    return ClassFolders(tuple(path.name for path in classes), tuple(images), tuple(class_ids))


def center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """Cut the middle square of an image and bring it to (size, size, 3)."""
    side = max(1, round(SHOWN_SHARE * min(image.shape[:2])))
    top, left = ((length - side) // 2 for length in image.shape[:2])
    part = image[top : top + side, left : left + side]
    return cv2.resize(
        part, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    )
