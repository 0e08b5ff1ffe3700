import numpy as np
import pytest

from galago.errors import ConfigError
from galago.evaluation.tta import (
    TTAConfig,
    argmax_classes,
    probabilities,
    resize_planes,
    sliding_window_inference,
    window_offsets,
)


def brightness(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Give logits pixel by pixel: the color channels."""
    return resize_planes(image.transpose(2, 0, 1).astype(np.float32) / 32, size)


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits.astype(np.float64))
    return shares / shares.sum(axis=0)


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


def test_a_photo_shown_once_gives_its_softmax(photo: np.ndarray):
    scores = probabilities(brightness, photo, (50, 70), TTAConfig())
    np.testing.assert_allclose(scores, softmax(brightness(photo, (50, 70))), rtol=1e-5)


def test_flipping_changes_nothing_for_a_function_that_does_not_know_left_from_right(
    photo: np.ndarray,
):
    once, both = (
        probabilities(brightness, photo, (50, 70), TTAConfig(flip=flip)) for flip in (False, True)
    )
    np.testing.assert_allclose(once, both, rtol=1e-6)


def test_flipping_averages_what_is_said_of_both_sides():
    def left_is_class_0(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        logits = np.zeros((2, *size), np.float32)
        logits[0, :, : size[1] // 2] = np.log(3)  # 3/4 against 1/4
        return logits

    scores = probabilities(
        left_is_class_0, np.zeros((2, 4, 3), np.uint8), (2, 4), TTAConfig(flip=True)
    )
    np.testing.assert_allclose(scores[0], (3 / 4 + 1 / 2) / 2, rtol=1e-6)


def test_scales_average_probabilities_and_not_logits():
    shown = []

    def by_size(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        shown.append(image.shape[:2])
        logits = np.zeros((2, *size), np.float32)
        logits[0] = np.log(9) if image.shape[0] == 4 else 0  # 9/10 against 1/10, or even
        return logits

    scores = probabilities(
        by_size, np.zeros((4, 6, 3), np.uint8), (4, 6), TTAConfig(scales=(0.5, 1, 2))
    )
    assert shown == [(2, 3), (4, 6), (8, 12)]
    np.testing.assert_allclose(scores[0], (0.9 + 0.5 + 0.5) / 3, rtol=1e-6)


def test_results_have_the_size_of_the_photo_whatever_the_network_saw(photo: np.ndarray):
    views = TTAConfig(window=(32, 32), scales=(0.5, 1.5), flip=True)
    scores = probabilities(brightness, photo, (101, 133), views)
    assert scores.shape == (3, 101, 133)
    np.testing.assert_allclose(scores.sum(axis=0), 1, rtol=1e-5)


def test_the_most_likely_class_and_its_probability():
    scores = np.array([[[0.5, 0.1, 0.3]], [[0.5, 0.2, 0.3]], [[0.0, 0.7, 0.4]]], np.float32)
    labels, confidence = argmax_classes(scores)
    assert labels.tolist() == [[0, 2, 2]]  # the smaller id where classes tie
    np.testing.assert_allclose(confidence, [[0.5, 0.7, 0.4]])


def test_views_say_what_they_are():
    assert TTAConfig().plain
    assert TTAConfig().describe() == "one scale, no flip"
    views = TTAConfig(window=(90, 120), scales=(0.5, 1), flip=True)
    assert not views.plain
    assert views.describe() == "scales 0.5, 1, flip, windows of 90 x 120 every 60 x 80"
    assert views.summary() == {
        "slide": [90, 120],
        "stride": [60, 80],
        "scales": [0.5, 1],
        "flip": True,
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"stride": (8, 8)}, "Say how large they are"),
        ({"window": (64, 64), "stride": (65, 64)}, "leaves gaps"),
        ({"window": (3, 64)}, "A window needs 32 or more pixels"),
        ({"window": (64, 64), "stride": (64, 1)}, "A stride needs 8 or more pixels"),
        ({"scales": ()}, "Scales need numbers"),
        ({"scales": (1.0, 0.0)}, "Scales need numbers"),
        ({"scales": (1.0, float("nan"))}, "Scales need numbers"),
        ({"scales": (1.0, 1.0)}, "Scales must differ"),
    ],
)
def test_views_that_make_no_sense_are_an_error(flags: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        TTAConfig(**flags)
