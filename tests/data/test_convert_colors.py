from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.convert import Options, read, write
from galago.data.convert.palettes import read_palette
from galago.errors import ConfigError, DataError

ROAD, CAR, VOID = (128, 64, 128), (64, 0, 128), (0, 0, 0)
PIXELS = np.array([[ROAD, CAR, CAR], [ROAD, VOID, CAR]], np.uint8)  # RGB
YAML = "road: [128, 64, 128]\ncar: [64, 0, 128]\nvoid: [0, 0, 0]\n"


def write_image(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), pixels[..., ::-1])


def make(
    root: Path, images: str = "images/train", masks: str = "masks/train", ending: str = ""
) -> Path:
    """Write an image with a colored mask, and the palette."""
    write_image(root / images / "a.jpg", np.full((2, 3, 3), 90, np.uint8))
    write_image(root / masks / f"a{ending}.png", PIXELS)
    (root / "palette.yaml").write_text(YAML)
    return root


def convert(source: Path, out: Path, *, accept_unknown: bool = False, **options: object) -> Path:
    write(
        read("colors", source, Options(**options)),
        out,
        made_by="a test",
        accept_unknown=accept_unknown,
    )  # type: ignore[arg-type]
    return out


def test_colors_become_ids_in_the_order_of_the_palette(tmp_path: Path):
    source = make(tmp_path / "in")
    dataset = open_dataset(convert(source, tmp_path / "out"), "train")
    assert dataset.label_set.names == ("road", "car", "void")
    assert dataset.label_set.palette == (ROAD, CAR, VOID)
    assert dataset.names == ["a"]
    assert dataset[0].labels.tolist() == [[0, 1, 1], [0, 2, 1]]
    assert (tmp_path / "out/images/train/a.jpg").read_bytes() == (
        source / "images/train/a.jpg"
    ).read_bytes()


def test_ignored_classes_become_255_and_the_others_close_up(tmp_path: Path):
    dataset = open_dataset(
        convert(make(tmp_path / "in"), tmp_path / "out", ignore=("road", "void")), "train"
    )
    assert dataset.label_set.names == ("car",)
    assert dataset[0].labels.tolist() == [[255, 0, 0], [255, 255, 0]]


@pytest.mark.parametrize(
    ("images", "masks", "ending"),
    [("images", "masks", ""), ("train", "train_labels", "_L"), ("train/images", "train/masks", "")],
)
def test_other_ways_to_lay_out_the_folders(tmp_path: Path, images: str, masks: str, ending: str):
    source = make(tmp_path / "in", images, masks, ending)
    assert open_dataset(convert(source, tmp_path / "out"), "train").names == ["a"]


def test_unknown_colors_are_listed_with_pixels_and_the_nearest_name_and_leave_nothing(
    tmp_path: Path,
):
    source = make(tmp_path / "in")
    for name in "bc":
        write_image(source / f"images/train/{name}.png", PIXELS)
        write_image(
            source / f"masks/train/{name}.png",
            np.array([[(66, 2, 128), (0, 255, 0)]] * 2, np.uint8),
        )
    with pytest.raises(DataError, match="2 colors have no name") as caught:
        convert(source, tmp_path / "out")
    assert "(66, 2, 128): 4 pixels (near car)\n" in str(caught.value)
    assert "(0, 255, 0): 4 pixels\n" in str(caught.value)
    assert "--unknown ignore" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_unknown_colors_may_be_ignored(tmp_path: Path):
    source = make(tmp_path / "in")
    write_image(source / "masks/train/a.png", np.where(PIXELS == VOID, np.uint8(9), PIXELS))
    (source / "palette.yaml").write_text("road: [128, 64, 128]\ncar: [64, 9, 128]")
    out = convert(source, tmp_path / "out", unknown="ignore", accept_unknown=True)
    assert open_dataset(out, "train")[0].labels.tolist() == [[0, 1, 1], [0, 255, 1]]


def test_a_jpeg_mask_is_an_error(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "masks/train/a.png").unlink()
    write_image(source / "masks/train/a.jpg", PIXELS)
    with pytest.raises(DataError, match=r"a\.jpg is a JPEG, which changes colors"):
        convert(source, tmp_path / "out")


def test_an_image_without_mask_is_an_error(tmp_path: Path):
    source = make(tmp_path / "in")
    write_image(source / "images/train/b.png", PIXELS)
    with pytest.raises(DataError, match=r"1 photos have no mask: .*b\.png"):
        convert(source, tmp_path / "out")


def test_no_palette_is_an_error_that_shows_one(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "palette.yaml").unlink()
    with pytest.raises(ConfigError, match="Which color means what") as caught:
        convert(source, tmp_path / "out")
    assert "labelmap.txt" in str(caught.value)
    assert "road: [128, 64, 128]" in str(caught.value)


def test_no_folders_is_an_error_that_says_what_was_looked_for(tmp_path: Path):
    (tmp_path / "palette.yaml").write_text(YAML)
    with pytest.raises(DataError, match="images/train and masks/train or train and train_labels"):
        convert(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "road: [128, 64, 128]\ntraffic light: [1, 2, 3]"),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nroad:128,64,128::\ntraffic light:1,2,3::\n",
        ),
        ("class_dict.csv", "name,r,g,b\nroad,128,64,128\ntraffic light,1,2,3\n"),
        ("label_colors.txt", "128 64 128\troad\n1 2 3\t\ttraffic light\n"),
    ],
)
def test_palettes_of_four_forms(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    labels = read_palette(tmp_path / name)
    assert labels.names == ("road", "traffic light")
    assert labels.palette == ((128, 64, 128), (1, 2, 3))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "road: red", r"road should have a color \[red, green, blue\]"),
        ("p.yaml", "no: [1, 2, 3]", "should be text, got False"),
        ("p.yaml", "a: [1, 2, 3]\nb: [1, 2, 3]", r"a and b have one color, \(1, 2, 3\)"),
        ("p.yaml", "a: [1, 2, 300]", "each 0 to 255"),
        ("p.txt", "road 1 2 3", r"line 1: expected `name:red,green,blue::`.*got 'road 1 2 3'"),
    ],
)
def test_a_broken_palette_is_an_error(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_palette(tmp_path / name)


def test_the_exact_name_of_a_mask_goes_before_one_with_an_ending(tmp_path: Path):
    source = make(tmp_path / "in", ending="_L")
    for name in ("0001", "0001_L", "0002_L", "0003_R"):
        write_image(source / f"images/train/{name}.jpg", np.full((1, 2, 3), 90, np.uint8))
    for name, color in (("0001", CAR), ("0001_L", ROAD), ("0002_L", VOID), ("0003_R_L", CAR)):
        write_image(source / f"masks/train/{name}.png", np.array([[color, color]], np.uint8))
    found = {
        item.name: item.read_labels().max() for item in read("colors", source, Options()).items
    }
    assert found == {"0001": 1, "0001_L": 0, "0002_L": 2, "0003_R": 1, "a": 2}


def test_two_masks_of_one_name_are_an_error(tmp_path: Path):
    source = make(tmp_path / "in")
    write_image(source / "masks/train/a.tif", PIXELS)
    with pytest.raises(DataError, match=r"a\.png and a\.tif have one name"):
        read("colors", source, Options())


def test_masks_without_an_image_are_told(tmp_path: Path):
    source = make(tmp_path / "in")
    write_image(source / "masks/train/b.png", PIXELS)
    assert "1 masks have no photo and are left out: " in read("colors", source, Options()).notes[0]


def test_suffixes_in_capitals_hidden_files_and_links(tmp_path: Path):
    source = make(tmp_path / "in")
    (source / "masks/train/a.png").rename(source / "masks/train/a.PNG")
    (source / "images/train/a.jpg").rename(source / "images/train/a.JPG")
    (source / "images/train/._a.JPG").write_bytes(b"\0\5\26\7")
    make(tmp_path / "store", "x", "y")
    (source / "images/train/more").symlink_to(tmp_path / "store/x", target_is_directory=True)
    (source / "masks/train/more").symlink_to(tmp_path / "store/y", target_is_directory=True)
    assert open_dataset(convert(source, tmp_path / "out"), "train").names == ["a", "more/a"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "leaf: [255, 0, 0]\nleaf: [0, 255, 0]\n", "line 2: the key 'leaf' stands twice"),
        ("p.yaml", "leaf: &a [255, 0, 0]\nstem: *a\n", "aliases"),
        ("p.yaml", "leaf: " + "[" * 5000, "within each other"),
        ("labelmap.txt", "leaf:255,0,0::\nleaf:0,255,0::\n", "occur more than once: leaf"),
        ("labelmap.txt", "leaf:" + "9" * 5000 + ",0,0::\n", "line 1: expected"),
        ("class_dict.csv", "name,r,g,b\nleaf,1,2,999\n", "each 0 to 255"),
    ],
)
def test_a_slip_in_a_palette_is_told_shortly(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_palette(tmp_path / name)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "leaf: [255, 0, 0]\n"),
        ("labelmap.txt", "# label\nleaf:255,0,0::\n"),
        ("class_dict.csv", "name,r,g,b\nleaf,255,0,0\n"),
        ("label_colors.txt", "255 0 0 leaf\n"),
    ],
)
def test_palettes_saved_by_windows_are_read(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    labels = read_palette(tmp_path / name)
    assert (labels.names, labels.palette) == (("leaf",), ((255, 0, 0),))
    (tmp_path / name).write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        read_palette(tmp_path / name)


def test_an_export_of_roboflow_is_called_so(tmp_path: Path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n")
    with pytest.raises(ConfigError, match="galago data convert roboflow"):
        read("colors", tmp_path, Options())
