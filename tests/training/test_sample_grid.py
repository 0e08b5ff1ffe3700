import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from galago import image as images
from galago.data import Dataset
from galago.training.sample_grid import write_grid


def nothing(image: np.ndarray) -> np.ndarray:
    return np.zeros(image.shape[:2], np.uint8)


def test_a_row_is_photo_truth_and_guess(drawn: Callable[..., Dataset], tmp_path: Path):
    data = drawn(1)
    write_grid(tmp_path / "panel.png", nothing, data)
    photo, truth, guess = np.hsplit(images.load(tmp_path / "panel.png"), 3)
    np.testing.assert_array_equal(photo, data[0].image)
    np.testing.assert_array_equal(truth, images.colorize(data[0].labels, data.label_set.palette))
    assert (guess == 0).all()  # the color of class 0


@pytest.mark.parametrize(("photos", "rows"), [(1, 1), (3, 3), (4, 4), (9, 4)])
def test_at_most_four_photos_are_shown(
    drawn: Callable[..., Dataset], tmp_path: Path, photos: int, rows: int
):
    write_grid(tmp_path / "panel.jpg", nothing, drawn(photos, size=(32, 64)))
    assert images.load(tmp_path / "panel.jpg").shape == (rows * 32, 3 * 64, 3)


def test_photos_of_different_sizes_share_the_smallest_width(
    drawn: Callable[..., Any], tmp_path: Path
):
    samples = tuple(drawn(1, size=size)[0] for size in ((32, 64), (64, 128)))
    write_grid(tmp_path / "panel.jpg", nothing, dataclasses.replace(drawn(1), samples=samples))
    assert images.load(tmp_path / "panel.jpg").shape == (32 + 32, 3 * 64, 3)
