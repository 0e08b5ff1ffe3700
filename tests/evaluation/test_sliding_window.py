import numpy as np
import pytest

from galago.evaluation.sliding_window import sliding_window_inference, window_offsets
from galago.evaluation.tta import resize_planes


def brightness(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Give logits pixel by pixel: the color channels."""
    return resize_planes(image.transpose(2, 0, 1).astype(np.float32) / 32, size)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)


def test_windows_end_at_the_end():
    assert window_offsets(10, 4, 3) == [0, 3, 6]
    assert window_offsets(11, 4, 3) == [0, 3, 6, 7]
    assert window_offsets(4, 4, 3) == [0]


@pytest.mark.parametrize(
    ("window", "step"), [((20, 30), (15, 30)), ((50, 70), (1, 1)), ((7, 400), (5, 3))]
)
def test_windows_of_a_function_of_single_pixels_give_the_whole_photo(
    photo: np.ndarray, window: tuple[int, int], step: tuple[int, int]
):
    whole = brightness(photo, (50, 70))
    np.testing.assert_allclose(
        sliding_window_inference(brightness, photo, window, step), whole, rtol=1e-6
    )  # sums of alike numbers, divided


def test_logits_are_averaged_where_windows_overlap():
    def numbered(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return np.full((1, *size), image[0, 0, 0], np.float32)

    photo = np.zeros((1, 6, 3), np.uint8)
    photo[0, :, 0] = [10, 0, 20, 0, 0, 0]  # windows of 4 start at 0 and at 2
    assert sliding_window_inference(numbered, photo, (1, 4), (1, 2)).tolist() == [
        [[10, 10, 15, 15, 20, 20]]
    ]
