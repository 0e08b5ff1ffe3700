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


def make(root: Path, photos: str = "images/train", masks: str = "masks/train", ending: str = "") -> Path:
    """Write a photo with a colored mask, and the palette."""
    write_image(root / photos / "a.jpg", np.full((2, 3, 3), 90, np.uint8))
    write_image(root / masks / f"a{ending}.png", PIXELS)
    (root / "palette.yaml").write_text(YAML)
    return root


def convert(source: Path, out: Path, *, accept_unknown: bool = False, **options: object) -> Path:
    write(read("colors", source, Options(**options)), out, made_by="a test", accept_unknown=accept_unknown)  # type: ignore[arg-type]
    return out


def test_colors_become_ids_in_the_order_of_the_palette(tmp_path: Path):
    source = make(tmp_path / "in")
    dataset = open_dataset(convert(source, tmp_path / "out"), "train")
    assert dataset.labels.names == ("road", "car", "void")
    assert dataset.labels.palette == (ROAD, CAR, VOID)
    assert dataset.names == ["a"]
    assert dataset[0].labels.tolist() == [[0, 1, 1], [0, 2, 1]]
    assert (tmp_path / "out/images/train/a.jpg").read_bytes() == (source / "images/train/a.jpg").read_bytes()


def test_ignored_classes_become_255_and_the_others_close_up(tmp_path: Path):
    dataset = open_dataset(convert(make(tmp_path / "in"), tmp_path / "out", ignore=("road", "void")), "train")
    assert dataset.labels.names == ("car",)
    assert dataset[0].labels.tolist() == [[255, 0, 0], [255, 255, 0]]


@pytest.mark.parametrize(
    ("photos", "masks", "ending"),
    [("images", "masks", ""), ("train", "train_labels", "_L"), ("train/images", "train/masks", "")],
)
def test_other_ways_to_lay_out_the_folders(tmp_path: Path, photos: str, masks: str, ending: str):
    source = make(tmp_path / "in", photos, masks, ending)
    assert open_dataset(convert(source, tmp_path / "out"), "train").names == ["a"]


def test_unknown_colors_are_listed_with_pixels_and_the_nearest_name_and_leave_nothing(tmp_path: Path):
    source = make(tmp_path / "in")
    for name in "bc":
        write_image(source / f"images/train/{name}.png", PIXELS)
        write_image(source / f"masks/train/{name}.png", np.array([[(66, 2, 128), (0, 255, 0)]] * 2, np.uint8))
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


def test_a_photo_without_mask_is_an_error(tmp_path: Path):
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
        ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:128,64,128::\ntraffic light:1,2,3::\n"),
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
