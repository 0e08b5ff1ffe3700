import numpy as np
import pytest

from galago import image as images
from galago.runtime.tiling.stream import DownscaledOverlay

PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def draw(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (*size, 3), np.uint8), random.integers(0, 3, size).astype(
        np.uint8
    )


def fill(
    preview: DownscaledOverlay, photo: np.ndarray, labels: np.ndarray, step: int
) -> DownscaledOverlay:
    for top in range(0, len(photo), step):
        preview.add_photo(photo[top : top + step])
    for top in range(0, len(photo), step + 3):
        preview.add_labels(labels[top : top + step + 3])
    return preview


def test_a_photo_that_is_small_enough_gets_the_usual_overlay():
    photo, labels = draw((600, 40))
    preview = fill(DownscaledOverlay(photo.shape[:2], longest=600), photo, labels, 7)
    assert np.array_equal(
        preview.picture(PALETTE, 0.25), images.overlay(photo, labels, PALETTE, 0.25)
    )


@pytest.mark.parametrize("step", [1, 4, 5, 64, 1000])
def test_how_the_strips_are_cut_changes_nothing(step: int):
    photo, labels = draw((103, 57))
    pictures = [
        fill(DownscaledOverlay((103, 57), longest=30), photo, labels, rows).picture(PALETTE)
        for rows in (step, 103)
    ]
    assert np.array_equal(*pictures)


def test_squares_are_averaged_and_get_the_label_in_their_middle():
    photo = np.zeros((5, 6, 3), np.uint8)
    photo[:3, :3] = np.arange(9).reshape(3, 3, 1) * 10  # 40 on average
    photo[3:, :3] = 50  # two rows of three
    labels = np.zeros((5, 6), np.uint8)
    labels[1, 1], labels[4, 4] = 1, 2
    preview = fill(DownscaledOverlay((5, 6), longest=2), photo, labels, 2)
    assert (preview.factor, preview.size) == (3, (2, 2))
    picture = preview.picture(PALETTE, 0)
    # the first pixel has no neighbor above or left of it, the others border on another class there
    # and are halved
    assert picture[0, 0].tolist() == [40, 40, 40]
    assert picture[1, 0].tolist() == [25, 25, 25]
    colors = fill(DownscaledOverlay((5, 6), longest=2), photo, labels, 2).picture(PALETTE, 1)
    assert colors[0, 0].tolist() == [0, 255, 0]
    assert colors[1, 1].tolist() == [0, 0, 127]


def test_a_large_photo_becomes_4096_pixels_at_most():
    assert DownscaledOverlay((20_000, 10_000)).size == (4000, 2000)
    assert DownscaledOverlay((4096, 10)).size == (4096, 10)
    assert DownscaledOverlay((10, 4097)).size == (5, 2049)
