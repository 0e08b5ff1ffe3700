from pathlib import Path

import cv2
import numpy as np
import pytest

from galago import image
from galago.data import open_dataset
from galago.data.convert import Options, read, write
from galago.data.convert.voc import VOC, voc_palette
from galago.errors import DataError

IDS = np.array([[0, 15, 255], [20, 1, 7]], np.uint8)


def make(root: Path, lists: tuple[str, ...] = ("train",)) -> Path:
    """Write a photo and an indexed mask as VOC lays them out."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    cv2.imwrite(str(root / "JPEGImages/2007_000032.jpg"), np.zeros((2, 3, 3), np.uint8))
    palette = [*voc_palette(255), (224, 224, 192)]
    image.save_labels(root / "SegmentationClass/2007_000032.png", IDS, palette)
    for name in lists:
        (root / f"ImageSets/Segmentation/{name}.txt").write_text("2007_000032\n")
    return root


def write_colors(root: Path, colors: list[list[tuple[int, int, int]]]) -> None:
    pixels = np.array(colors, np.uint8)
    cv2.imwrite(str(root / "SegmentationClass/2007_000032.png"), pixels[..., ::-1])


def convert(source: Path, out: Path, **options: object) -> Path:
    write(read("voc", source, Options(**options)), out, made_by="a test")  # type: ignore[arg-type]
    return out


def test_ids_stay_and_the_border_is_ignored(tmp_path: Path):
    dataset = open_dataset(convert(make(tmp_path / "in", ("train", "trainval")), tmp_path / "out"), "train")
    assert dataset.labels == VOC
    assert dataset.names == ["2007_000032"]
    assert dataset[0].labels.tolist() == IDS.tolist()


def test_the_palette_is_the_official_one():
    assert VOC.palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert VOC.palette[15] == (192, 128, 128)  # person
    assert VOC.palette[20] == (0, 64, 128)  # tvmonitor


def test_colored_masks_are_read_by_the_official_palette(tmp_path: Path):
    source = make(tmp_path / "in")
    write_colors(source, [[(0, 0, 0), (192, 128, 128), (224, 224, 192)], [(0, 64, 128), (128, 0, 0), (128, 128, 128)]])
    assert open_dataset(convert(source, tmp_path / "out"), "train")[0].labels.tolist() == IDS.tolist()


def test_a_labelmap_names_the_classes_and_one_list_of_any_name_is_train(tmp_path: Path):
    source = make(tmp_path / "in", ("default",))
    (source / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nleaf:0,200,0::\nbackground:0,0,0::\n")
    write_colors(source, [[(0, 0, 0), (0, 200, 0), (224, 224, 192)]] * 2)
    dataset = open_dataset(convert(source, tmp_path / "out"), "train")
    assert dataset.labels.names == ("leaf", "background")
    assert dataset[0].labels.tolist() == [[1, 0, 255]] * 2


def test_beside_a_labelmap_the_colors_of_an_indexed_mask_count(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "labelmap.txt").write_text("leaf:0,200,0::\nbackground:0,0,0::\n")
    image.save_labels(source / "SegmentationClass/2007_000032.png", np.array([[0, 1]], np.uint8), [(0, 0, 0), (0, 200, 0)])
    assert open_dataset(convert(source, tmp_path / "out"), "train").labels.names == ("leaf", "background")
    assert image.load_labels(tmp_path / "out/masks/train/2007_000032.png").tolist() == [[1, 0]]


def test_a_gray_mask_holds_ids(tmp_path: Path):
    source = make(tmp_path / "in")
    cv2.imwrite(str(source / "SegmentationClass/2007_000032.png"), IDS)
    assert open_dataset(convert(source, tmp_path / "out"), "train")[0].labels.tolist() == IDS.tolist()


def test_unknown_ids_and_colors_are_errors(tmp_path: Path):
    source = make(tmp_path / "in")
    cv2.imwrite(str(source / "SegmentationClass/2007_000032.png"), np.full((2, 3), 21, np.uint8))
    with pytest.raises(DataError, match="1 colors or ids have no name:\n  21: 6 pixels"):
        convert(source, tmp_path / "out")
    write_colors(source, [[(1, 2, 3)] * 3] * 2)
    with pytest.raises(DataError, match=r"\(1, 2, 3\): 6 pixels \(near background\)"):
        convert(source, tmp_path / "out")


def test_missing_files_are_listed(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "ImageSets/Segmentation/train.txt").write_text("2007_000032\nb\n")
    with pytest.raises(DataError, match=r"2 files .* missing: JPEGImages/b\.jpg, SegmentationClass/b\.png"):
        convert(source, tmp_path / "out")


def test_the_photos_may_lie_elsewhere(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "JPEGImages").rename(tmp_path / "photos")
    assert len(open_dataset(convert(source, tmp_path / "out", images=tmp_path / "photos"), "train")) == 1


def test_no_lists_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="no lists in ImageSets/Segmentation"):
        convert(make(tmp_path / "in", ()), tmp_path / "out")
