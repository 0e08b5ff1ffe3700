from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.convert import Options, read, write
from galago.errors import DataError

CLASSES = "Pixel Value, Class\n0, background\n2, leaf\n"
IDS = np.array([[0, 2, 255], [2, 0, 0]], np.uint8)


def make(root: Path, splits: tuple[str, ...] = ("train", "valid")) -> Path:
    """Write images with their masks beside them, as Roboflow exports them."""
    for split in splits:
        folder = root / split
        folder.mkdir(parents=True)
        (folder / "_classes.csv").write_text(CLASSES)
        cv2.imwrite(str(folder / "a_jpg.rf.1f.jpg"), np.zeros((2, 3, 3), np.uint8))
        cv2.imwrite(str(folder / "a_jpg.rf.1f_mask.png"), IDS)
    return root


def test_images_and_the_masks_beside_them(tmp_path: Path):
    write(read("roboflow", make(tmp_path / "in"), Options()), tmp_path / "out", made_by="a test")
    for split in ("train", "val"):
        dataset = open_dataset(tmp_path / "out", split)
        assert dataset.label_set.names == ("background", "leaf")
        assert dataset.names == ["a_jpg.rf.1f"]
        assert dataset[0].labels.tolist() == [[0, 1, 255], [1, 0, 0]]


def test_a_folder_without_splits_is_train_and_told(tmp_path: Path):
    make(tmp_path, ("export",))
    found = read("roboflow", tmp_path / "export", Options())
    assert [item.split for item in found.items] == ["train"]
    assert "holds no word for a split" in found.notes[0]


def test_capitals_hidden_files_and_a_byte_order_mark(tmp_path: Path):
    source = make(tmp_path, ("train",))
    folder = source / "train"
    (folder / "a_jpg.rf.1f.jpg").rename(folder / "a_jpg.rf.1f.JPG")
    (folder / "a_jpg.rf.1f_mask.png").rename(folder / "a_jpg.rf.1f_mask.PNG")
    (folder / "._a.jpg").write_bytes(b"\0\5\26\7")
    (folder / "_classes.csv").write_bytes(b"\xef\xbb\xbf" + CLASSES.replace("\n", "\r\n").encode())
    assert read("roboflow", source, Options()).items[0].read_labels().tolist() == [
        [0, 1, 255],
        [1, 0, 0],
    ]


def test_masks_without_an_image_are_told_and_images_without_a_mask_an_error(tmp_path: Path):
    source = make(tmp_path)
    cv2.imwrite(str(source / "valid/b_mask.png"), IDS)
    assert "1 masks have no photo" in read("roboflow", source, Options()).notes[0]
    (source / "train/a_jpg.rf.1f_mask.png").unlink()
    with pytest.raises(DataError, match=r"1 photos have no mask: .*a_jpg\.rf\.1f\.jpg"):
        read("roboflow", source, Options())


def test_ids_without_a_name_are_an_error(tmp_path: Path):
    source = make(tmp_path / "in", ("train",))
    cv2.imwrite(str(source / "train/a_jpg.rf.1f_mask.png"), np.full((2, 3), 7, np.uint8))
    with pytest.raises(DataError, match="1 ids have no name:\n  7: 6 pixels"):
        write(read("roboflow", source, Options()), tmp_path / "out", made_by="a test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Pixel Value, Class\n", "names no class"),
        ("0, a\n0, b\n", "the pixel value 0 occurs twice"),
        ("0, a\n256, b\n", "line 2: expected `pixel value, class`"),
        ("0, a\nx, b\n", "line 2: expected"),
        ("0, a\n1, a\n", "occur more than once: a"),
    ],
)
def test_a_broken_table_of_classes_is_an_error(tmp_path: Path, text: str, message: str):
    source = make(tmp_path, ("train",))
    (source / "train/_classes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read("roboflow", source, Options())


def test_splits_with_other_classes_are_an_error(tmp_path: Path):
    source = make(tmp_path)
    (source / "valid/_classes.csv").write_text("0, background\n2, stem\n")
    with pytest.raises(DataError, match="other classes"):
        read("roboflow", source, Options())
