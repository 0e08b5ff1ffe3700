import cv2
import numpy as np
import pytest

from galago.errors import ConfigError, ModelError
from galago.runtime.labelmap.interpolation import TAPS, Axis
from galago.runtime.labelmap.label_map import label_map, upsample_logits


def cubic(distance: float) -> float:
    a = -0.75
    distance = abs(distance)
    if distance <= 1:
        return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    return a * (distance**3 - 5 * distance**2 + 8 * distance - 4) if distance < 2 else 0.0


def interpolation(pixels: int, source: int, scale: float, upsampling: str) -> np.ndarray:
    """Interpolate along one axis the slow way: (pixels, source) float64, one weight after the
    other.
    """
    matrix = np.zeros((pixels, source))
    for pixel in range(pixels):
        place = (pixel + 0.5) * scale - 0.5
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            distance = place - tap
            weight = cubic(distance) if upsampling == "bicubic" else max(0.0, 1 - abs(distance))
            matrix[pixel, min(max(tap, 0), source - 1)] += weight
    return matrix


def interpolate_all(
    logits: np.ndarray, size: tuple[int, int], scale: tuple[float, float], upsampling: str
) -> np.ndarray:
    rows, columns = (
        interpolation(*axis, upsampling) for axis in zip(size, logits.shape[1:], scale, strict=True)
    )
    return rows @ logits.astype(np.float64) @ columns.T


def assert_exact(
    logits: np.ndarray, size: tuple[int, int], scale: tuple[float, float], upsampling: str
) -> None:
    """Compare with "interpolate all, take the largest".

    Float32 may differ only where two classes are as good as tied.
    """
    grown = interpolate_all(logits, size, scale, upsampling)
    labels = label_map(logits, size, scale, upsampling)
    wrong = labels != grown.argmax(axis=0)
    best, second = np.sort(grown, axis=0)[:-3:-1] if len(grown) > 1 else (grown[0], grown[0] - 1)
    assert labels.shape == size
    assert (best - second)[wrong].max(initial=0) < 1e-5


def noise(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def patches(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Return logits as those of a network: large areas of one class, and a little noise."""
    small = noise(seed, (shape[0], 3, 4))
    return np.stack(
        [cv2.resize(plane, shape[:0:-1], interpolation=cv2.INTER_CUBIC) for plane in small]
    ) + 0.05 * noise(seed, shape)


@pytest.mark.parametrize("upsampling", TAPS)
@pytest.mark.parametrize("draw", [noise, patches])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((11, 12, 15), (96, 120)),  # stride 8
        ((19, 9, 16), (70, 121)),  # a photo whose padding is cut off again
        ((2, 5, 7), (40, 56)),
        ((150, 8, 8), (64, 64)),
        ((150, 32, 40), (256, 320)),  # more cells and classes than are compared at a time
        ((256, 4, 5), (32, 40)),  # as many classes as a byte holds
        ((3, 1, 1), (8, 8)),
        ((3, 60, 80), (478, 640)),  # more pixels than one band has
    ],
)
def test_labels_are_those_of_all_logits_interpolated(draw, shape, size, upsampling):
    assert_exact(draw(sum(shape), shape), size, (1 / 8, 1 / 8), upsampling)


@pytest.mark.parametrize("upsampling", TAPS)
@pytest.mark.parametrize("draw", [noise, patches])
@pytest.mark.parametrize("size", [(37, 61), (17, 11), (200, 31), (5, 5), (1, 61), (1, 1)])
def test_any_size_works_larger_or_smaller_than_the_logits(size, draw, upsampling):
    logits = draw(3, (5, 14, 18))
    assert_exact(logits, size, (14 / size[0], 18 / size[1]), upsampling)


def test_a_class_that_is_second_everywhere_wins_in_the_middle():
    logits = np.zeros((3, 2, 2), np.float32)
    logits[0, :, 0] = logits[1, :, 1] = 10  # left and right
    logits[2] = 6  # halfway the other two have 5 each
    labels = label_map(logits, (16, 16), (1 / 8, 1 / 8))
    assert set(labels[:, 0]) == {0}
    assert set(labels[:, 7]) == {2}
    assert set(labels[:, 15]) == {1}


def test_the_smallest_id_wins_a_tie():
    logits = np.ones((4, 3, 3), np.float32)
    logits[0] = 0
    assert (label_map(logits, (24, 24), (1 / 8, 1 / 8)) == 1).all()


def test_bicubic_overshoot_can_change_a_cell_whose_corners_agree():
    # along a row: 0 0 | 0 0 against 1 -1 -1 1, scaled: the overshoot of the second class stays
    # below, at -1.19
    logits = np.zeros((2, 1, 4), np.float32)
    logits[1, 0] = (
        -9,
        -0.1,
        -0.1,
        -9,
    )  # in the middle 1.19 * -0.1 + 0.19 * 9 > 0: the second class wins
    labels = label_map(logits, (8, 32), (1 / 8, 1 / 8), "bicubic")
    assert labels[0, 16] == 1
    assert (label_map(logits, (8, 32), (1 / 8, 1 / 8), "bilinear") == 0).all()


def test_labels_are_bytes_and_more_than_256_classes_are_refused():
    logits = noise(0, (257, 2, 2))
    labels = label_map(logits[:256], (8, 8), (1 / 4, 1 / 4))
    assert labels.dtype == np.uint8
    with pytest.raises(ModelError, match="Expected 256 classes at most, got 257"):
        label_map(logits, (8, 8), (1 / 4, 1 / 4))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    logits = noise(0, (3, 4, 4))
    logits[1, 2, 3] = bad
    with pytest.raises(ModelError, match="not finite"):
        label_map(logits, (32, 32), (1 / 8, 1 / 8))


def test_an_unknown_upsampling_is_refused():
    with pytest.raises(
        ConfigError, match=r"Unknown upsampling 'nearest'\. Choose one of: bicubic, bilinear"
    ):
        label_map(noise(0, (2, 2, 2)), (8, 8), (1 / 8, 1 / 8), "nearest")


def test_pixels_lie_in_the_gaps_between_logits():
    axis = Axis.build(8, 2, 1 / 4, "bilinear")  # logits 0 and 1 sit at 1.5 and 5.5 pixels
    assert axis.cell.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert axis.count.tolist() == [2, 4, 2]
    assert axis.weights[1, 2:6].tolist() == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize("upsampling", TAPS)
@pytest.mark.parametrize("size", [(40, 56), (33, 49), (3, 100), (11, 5)])
def test_grown_logits_are_all_of_them_interpolated_the_slow_way(
    upsampling: str, size: tuple[int, int]
):
    logits = np.random.default_rng(3).normal(size=(4, 5, 7)).astype(np.float32)
    scale = (4.6 / size[0], 7 / size[1])  # the last logits may be padding
    grown = upsample_logits(logits, size, scale, upsampling)
    assert grown.dtype == np.float32
    np.testing.assert_allclose(
        grown, interpolate_all(logits, size, scale, upsampling), atol=1e-5
    )  # float32 sums


def test_logits_that_are_not_finite_do_not_grow():
    with pytest.raises(ModelError, match="values that are not finite"):
        upsample_logits(np.full((2, 3, 3), np.nan, np.float32), (9, 9), (1 / 3, 1 / 3))
