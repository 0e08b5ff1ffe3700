from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.convert import Options, read, write
from galago.errors import DataError

NAME = "aachen_000000_000019"


def make(root: Path) -> Path:
    """Write an image and its labelIds."""
    images, masks = root / "leftImg8bit/train/aachen", root / "gtFine/train/aachen"
    for folder in (images, masks):
        folder.mkdir(parents=True)
    cv2.imwrite(str(images / f"{NAME}_leftImg8bit.png"), np.zeros((1, 6, 3), np.uint8))
    cv2.imwrite(
        str(masks / f"{NAME}_gtFine_labelIds.png"), np.array([[7, 33, 0, 26, 9, 255]], np.uint8)
    )
    return root


def test_the_19_classes_get_train_ids_and_the_others_are_ignored(tmp_path: Path):
    write(read("cityscapes", make(tmp_path / "in"), Options()), tmp_path / "out", made_by="a test")
    dataset = open_dataset(tmp_path / "out", "train")
    assert len(dataset.label_set) == 19
    assert dataset.names == [f"aachen/{NAME}"]
    # road, bicycle, unlabeled, car, parking, license plate (-1)
    assert dataset[0].labels.tolist() == [[0, 18, 255, 13, 255, 255]]
    assert dataset.label_set.names[13] == "car"


def test_an_image_without_mask_is_an_error(tmp_path: Path):
    source = make(tmp_path)
    (source / f"gtFine/train/aachen/{NAME}_gtFine_labelIds.png").unlink()
    with pytest.raises(
        DataError, match=r"1 masks are missing: .*labelIds\.png\. Unpack gtFine_trainvaltest"
    ):
        read("cityscapes", source, Options())


def test_no_images_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="has no photos leftImg8bit/train/CITY"):
        read("cityscapes", tmp_path, Options())


def test_suffixes_in_capitals_hidden_files_and_links(tmp_path: Path):
    source = make(tmp_path / "in")
    image = source / f"leftImg8bit/train/aachen/{NAME}_leftImg8bit.png"
    image.rename(image.with_suffix(".PNG"))
    image.with_name(f"._{image.name}").write_bytes(b"\0\5\26\7")
    other = make(tmp_path / "other")
    for folder in ("leftImg8bit", "gtFine"):
        (source / folder / "train/bonn").symlink_to(
            other / folder / "train/aachen", target_is_directory=True
        )
    found = read("cityscapes", source, Options())
    assert [item.name for item in found.items] == [f"aachen/{NAME}", f"bonn/{NAME}"]
    assert found.items[1].read_labels().tolist() == [[0, 18, 255, 13, 255, 255]]
