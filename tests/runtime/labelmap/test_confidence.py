import numpy as np
import pytest

from galago.runtime.labelmap.confidence import confidence_map, margin_map
from galago.runtime.labelmap.label_map import label_map

SCALE = (1 / 8, 1 / 8)


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    return 3 * np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def at_labels(planes: np.ndarray, labels: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Interpolate the slow way, one pixel after the other."""
    found = np.empty(labels.shape)
    height, width = planes.shape[1:]
    for (y, x), label in np.ndenumerate(labels):
        top, left = (
            np.clip((place + 0.5) * step - 0.5, 0, None)
            for place, step in zip((y, x), scale, strict=True)
        )
        rows, columns = (
            np.minimum([int(place), int(place) + 1], side - 1)
            for place, side in ((top, height), (left, width))
        )
        corners = planes[label][np.ix_(rows, columns)]
        found[y, x] = (
            np.array([1 - top % 1, top % 1]) @ corners @ np.array([1 - left % 1, left % 1])
        )
    return found


@pytest.mark.parametrize("upsampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("shape", "size"), [((11, 6, 7), (48, 56)), ((2, 5, 9), (33, 70)), ((200, 3, 4), (24, 32))]
)
def test_confidence_and_margin_are_those_of_the_interpolated_softmax(shape, size, upsampling):
    logits = noise(shape)
    labels = label_map(logits, size, SCALE, upsampling)
    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=0)
    np.testing.assert_allclose(
        confidence_map(logits, labels, SCALE), at_labels(shares, labels, SCALE), atol=1e-5
    )
    others = np.stack(
        [np.delete(shares, index, axis=0).max(axis=0) for index in range(len(shares))]
    )
    expected = np.maximum(at_labels(shares - others, labels, SCALE), 0)
    np.testing.assert_allclose(margin_map(logits, labels, SCALE), expected, atol=1e-5)


def test_two_classes_share_the_probability():
    logits = np.zeros((2, 4, 4), np.float32)
    logits[1] = np.log(3)  # softmax: 1/4 and 3/4
    labels = label_map(logits, (32, 32), SCALE)
    np.testing.assert_allclose(confidence_map(logits, labels, SCALE), 0.75, atol=1e-6)
    np.testing.assert_allclose(margin_map(logits, labels, SCALE), 0.5, atol=1e-6)


def test_large_logits_do_not_overflow():
    logits = np.zeros((3, 2, 2), np.float32)
    logits[2] = 1000
    labels = label_map(logits, (16, 16), SCALE)
    assert (confidence_map(logits, labels, SCALE) == 1).all()
    assert (margin_map(logits, labels, SCALE) == 1).all()
