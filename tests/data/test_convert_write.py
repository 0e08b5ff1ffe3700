import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from galago.data import open_dataset
from galago.data.convert import CONVERTERS, Options, Source, read, write
from galago.data.convert.source import Item, drop_classes
from galago.errors import ConfigError, DataError
from galago.labels import LabelSet

LABELS = LabelSet(("on", "naïve: car"), ((1, 2, 3), (4, 5, 6)))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "photo.JPG"), np.zeros((1, 2, 3), np.uint8))
    return tmp_path / "photo.JPG"


def item(image: Path, name: str = "a") -> Item:
    return Item("train", name, image, lambda: np.array([[0, 1]], np.uint8))


def test_what_is_written_can_be_opened_with_names_that_yaml_would_misread(
    tmp_path: Path, image: Path
):
    write(Source(LABELS, [item(image, "city/a.b")]), tmp_path / "new/out", made_by="a test")
    dataset = open_dataset(tmp_path / "new/out", "train")
    assert dataset.label_set == LABELS
    assert dataset.names == ["city/a.b"]
    assert dataset[0].labels.tolist() == [[0, 1]]
    text = (tmp_path / "new/out/data.yaml").read_text(encoding="utf-8")
    assert text.startswith("# Made by a test.\n")
    assert yaml.safe_load(text)["ignore_id"] == 255
    assert (tmp_path / "new/out/images/train/city/a.b.jpg").read_bytes() == image.read_bytes()


def test_images_are_copied_where_links_are_not_possible(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*paths: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    write(Source(LABELS, [item(image)]), tmp_path / "out", made_by="a test")
    copy = tmp_path / "out/images/train/a.jpg"
    assert copy.read_bytes() == image.read_bytes()
    assert not copy.samefile(image)


def test_an_empty_folder_is_filled_and_another_one_refused(tmp_path: Path, image: Path):
    (tmp_path / "out").mkdir()
    write(Source(LABELS, [item(image)]), tmp_path / "out", made_by="a test")
    with pytest.raises(ConfigError, match="out is not empty"):
        write(Source(LABELS, [item(image)]), tmp_path / "out", made_by="a test")
    with pytest.raises(ConfigError, match="is a file"):
        write(Source(LABELS, [item(image)]), image, made_by="a test")


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_nothing_is_left_after_an_error(tmp_path: Path, image: Path, error: type[BaseException]):
    def fail() -> np.ndarray:
        raise error

    with pytest.raises(error):
        write(
            Source(LABELS, [item(image), Item("train", "b", image, fail)]),
            tmp_path / "out",
            made_by="a test",
        )
    assert list(tmp_path.iterdir()) == [image]


def test_two_images_of_one_name_and_none_at_all_are_errors(tmp_path: Path, image: Path):
    with pytest.raises(DataError, match="Two photos of train are called a"):
        write(Source(LABELS, [item(image), item(image)]), tmp_path / "out", made_by="a test")
    with pytest.raises(DataError, match="No photos"):
        write(Source(LABELS, []), tmp_path / "out", made_by="a test")


def test_ignoring_an_unknown_class_or_all_of_them_is_an_error(image: Path):
    with pytest.raises(
        ConfigError, match=r"'off': there is no such class\. Choose from: on, naïve: car"
    ):
        drop_classes(Source(LABELS, [item(image)]), ("off",))
    with pytest.raises(ConfigError, match="leaves no class"):
        drop_classes(Source(LABELS, [item(image)]), LABELS.names)


def test_misuse_is_a_config_error(tmp_path: Path):
    with pytest.raises(
        ConfigError,
        match=r"Unknown kind of data set 'yolo'\. Choose one of: ade20k, cityscapes, coco, "
        r"colors, roboflow, voc",
    ):
        read("yolo", tmp_path, Options())
    with pytest.raises(ConfigError, match="--palette has no use for coco"):
        read("coco", tmp_path, Options(palette=tmp_path))
    with pytest.raises(ConfigError, match="--unknown error or ignore, got 'maybe'"):
        Options(unknown="maybe")
    for kind in CONVERTERS:
        with pytest.raises(DataError, match="nothing at"):
            read(kind, tmp_path / "nowhere", Options())
