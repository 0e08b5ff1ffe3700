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
    """Write an image and an indexed mask as VOC lays them out."""
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
    dataset = open_dataset(
        convert(make(tmp_path / "in", ("train", "trainval")), tmp_path / "out"), "train"
    )
    assert dataset.label_set == VOC
    assert dataset.names == ["2007_000032"]
    assert dataset[0].labels.tolist() == IDS.tolist()


def test_the_palette_is_the_official_one():
    assert VOC.palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert VOC.palette[15] == (192, 128, 128)  # person
    assert VOC.palette[20] == (0, 64, 128)  # tvmonitor


def test_colored_masks_are_read_by_the_official_palette(tmp_path: Path):
    source = make(tmp_path / "in")
    write_colors(
        source,
        [
            [(0, 0, 0), (192, 128, 128), (224, 224, 192)],
            [(0, 64, 128), (128, 0, 0), (128, 128, 128)],
        ],
    )
    assert (
        open_dataset(convert(source, tmp_path / "out"), "train")[0].labels.tolist() == IDS.tolist()
    )


def test_a_labelmap_names_the_classes_and_one_list_of_any_name_is_train(tmp_path: Path):
    source = make(tmp_path / "in", ("default",))
    (source / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nleaf:0,200,0::\nbackground:0,0,0::\n"
    )
    write_colors(source, [[(0, 0, 0), (0, 200, 0), (224, 224, 192)]] * 2)
    dataset = open_dataset(convert(source, tmp_path / "out"), "train")
    assert dataset.label_set.names == ("leaf", "background")
    assert dataset[0].labels.tolist() == [[1, 0, 255]] * 2


def test_beside_a_labelmap_the_colors_of_an_indexed_mask_count(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "labelmap.txt").write_text("leaf:0,200,0::\nbackground:0,0,0::\n")
    image.save_labels(
        source / "SegmentationClass/2007_000032.png",
        np.array([[0, 1]], np.uint8),
        [(0, 0, 0), (0, 200, 0)],
    )
    assert open_dataset(convert(source, tmp_path / "out"), "train").label_set.names == (
        "leaf",
        "background",
    )
    assert image.load_labels(tmp_path / "out/masks/train/2007_000032.png").tolist() == [[1, 0]]


def test_a_gray_mask_holds_ids(tmp_path: Path):
    source = make(tmp_path / "in")
    cv2.imwrite(str(source / "SegmentationClass/2007_000032.png"), IDS)
    assert (
        open_dataset(convert(source, tmp_path / "out"), "train")[0].labels.tolist() == IDS.tolist()
    )


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
    with pytest.raises(
        DataError, match=r"2 files .* missing: JPEGImages/b\.jpg, SegmentationClass/b\.png"
    ):
        convert(source, tmp_path / "out")


def test_the_images_may_lie_elsewhere(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "JPEGImages").rename(tmp_path / "photos")
    assert (
        len(open_dataset(convert(source, tmp_path / "out", images=tmp_path / "photos"), "train"))
        == 1
    )


def test_no_lists_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="no lists in ImageSets/Segmentation"):
        convert(make(tmp_path / "in", ()), tmp_path / "out")


def test_suffixes_count_in_any_letter_case(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "JPEGImages/2007_000032.jpg").rename(source / "JPEGImages/2007_000032.JPG")
    (source / "SegmentationClass/2007_000032.png").rename(
        source / "SegmentationClass/2007_000032.PNG"
    )
    assert (
        open_dataset(convert(source, tmp_path / "out"), "train")[0].labels.tolist() == IDS.tolist()
    )


def test_two_images_of_one_name_are_an_error(tmp_path: Path):
    source = make(tmp_path / "in")
    cv2.imwrite(str(source / "JPEGImages/2007_000032.png"), np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError, match=r"2007_000032\.jpg and 2007_000032\.png have one name"):
        read("voc", source, Options())


def test_lists_saved_by_windows_and_files_of_macos(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "ImageSets/Segmentation/train.txt").write_bytes(b"\xef\xbb\xbf2007_000032\r\n\r\n")
    (source / "ImageSets/Segmentation/._train.txt").write_bytes(b"\0\5\26\7")
    assert len(read("voc", source, Options()).items) == 1
    (source / "ImageSets/Segmentation/train.txt").write_bytes("2007_000032".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        read("voc", source, Options())


@pytest.mark.parametrize(
    ("lists", "splits", "note"),
    [
        (("default",), ["train"], "The name of default.txt holds no word for a split"),
        (("labels-val",), ["val"], None),
        (("train", "trainval"), ["train"], None),
        (("validation",), ["val"], None),
    ],
)
def test_lists_of_other_names(
    tmp_path: Path, lists: tuple[str, ...], splits: list[str], note: str | None
):
    found = read("voc", make(tmp_path, lists), Options())
    assert [item.split for item in found.items] == splits
    assert (note in found.notes[0]) if note else found.notes == ()


def test_names_that_only_a_left_out_list_has_are_told(tmp_path: Path):
    source = make(tmp_path)
    (source / "ImageSets/Segmentation/more.txt").write_text("2007_000032\nb\nc\n")
    assert read("voc", source, Options()).notes == (
        "more.txt is left out, with 2 names that are in no other list.",
    )


def gray(root: Path, labelmap: str, values: list[int]) -> Path:
    source = make(root)
    (source / "labelmap.txt").write_text(labelmap)
    cv2.imwrite(
        str(source / "SegmentationClass/2007_000032.png"), np.array([values, values], np.uint8)
    )
    return source


@pytest.mark.parametrize(
    ("labelmap", "values", "ids"),
    [
        ("background:0,0,0::\ndoor:255,255,255::\n", [0, 255, 0], [0, 1, 0]),  # 255 was ignored
        ("background:1,1,1::\ndoor:0,0,0::\n", [0, 1, 0], [1, 0, 1]),  # the two were swapped
        ("a:10,10,10::\nb:0,0,0::\nc:200,200,200::\n", [0, 10, 200], [1, 0, 2]),
        (
            "leaf:0,200,0::\nbackground:0,0,0::\n",
            [0, 1, 255],
            [0, 1, 255],
        ),  # colors that are none: ids
        ("leaf:0,200,0::\nbackground:0,0,0::\n", [0, 0, 0], [0, 0, 0]),
    ],
)
def test_gray_masks_beside_a_labelmap_of_gray_colors(
    tmp_path: Path, labelmap: str, values: list[int], ids: list[int]
):
    found = read("voc", gray(tmp_path, labelmap, values), Options())
    assert found.items[0].read_labels().tolist() == [ids, ids]


def test_gray_values_that_are_no_color_of_a_gray_labelmap_are_an_error(tmp_path: Path):
    source = gray(tmp_path / "in", "background:0,0,0::\ndoor:255,255,255::\n", [0, 1, 1])
    with pytest.raises(DataError, match=r"\(1, 1, 1\): 4 pixels \(near background\)"):
        convert(source, tmp_path / "out")


def test_gray_values_that_may_be_ids_or_colors_are_refused(tmp_path: Path):
    labelmap = "background:0,0,0::\nwall:128,0,0::\ndoor:255,255,255::\n"
    found = read("voc", gray(tmp_path, labelmap, [0, 255, 255]), Options())
    with pytest.raises(DataError, match="255 is door by color and ignored by id"):
        found.items[0].read_labels()
