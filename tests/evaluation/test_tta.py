import numpy as np
import pytest

from galago.errors import ConfigError
from galago.evaluation.tta import (
    TTAConfig,
    predict_probabilities,
    resize_planes,
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


def test_a_photo_shown_once_gives_its_softmax(photo: np.ndarray):
    scores = predict_probabilities(brightness, photo, (50, 70), TTAConfig())
    np.testing.assert_allclose(scores, softmax(brightness(photo, (50, 70))), rtol=1e-5)


def test_flipping_changes_nothing_for_a_function_that_does_not_know_left_from_right(
    photo: np.ndarray,
):
    once, both = (
        predict_probabilities(brightness, photo, (50, 70), TTAConfig(flip=flip))
        for flip in (False, True)
    )
    np.testing.assert_allclose(once, both, rtol=1e-6)


def test_flipping_averages_what_is_said_of_both_sides():
    def left_is_class_0(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        logits = np.zeros((2, *size), np.float32)
        logits[0, :, : size[1] // 2] = np.log(3)  # 3/4 against 1/4
        return logits

    scores = predict_probabilities(
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

    scores = predict_probabilities(
        by_size, np.zeros((4, 6, 3), np.uint8), (4, 6), TTAConfig(scales=(0.5, 1, 2))
    )
    assert shown == [(2, 3), (4, 6), (8, 12)]
    np.testing.assert_allclose(scores[0], (0.9 + 0.5 + 0.5) / 3, rtol=1e-6)


def test_results_have_the_size_of_the_photo_whatever_the_network_saw(photo: np.ndarray):
    tta = TTAConfig(window=(32, 32), scales=(0.5, 1.5), flip=True)
    scores = predict_probabilities(brightness, photo, (101, 133), tta)
    assert scores.shape == (3, 101, 133)
    np.testing.assert_allclose(scores.sum(axis=0), 1, rtol=1e-5)


def test_views_say_what_they_are():
    assert TTAConfig().plain
    assert TTAConfig().describe() == "one scale, no flip"
    tta = TTAConfig(window=(90, 120), scales=(0.5, 1), flip=True)
    assert not tta.plain
    assert tta.describe() == "scales 0.5, 1, flip, windows of 90 x 120 every 60 x 80"
    assert tta.summary() == {
        "slide": [90, 120],
        "stride": [60, 80],
        "scales": [0.5, 1],
        "flip": True,
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"stride": (8, 8)}, "Give their size"),
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
