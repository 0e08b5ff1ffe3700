import numpy as np
import pytest

pytest.importorskip("torch")

from galago.training.augment import (
    change_appearance,
    color_jitter,
    rand_conv,
    shade,
    white_balance_jitter,
)
from galago.training.config import TrainConfig

pytestmark = pytest.mark.torch


@pytest.fixture
def image() -> np.ndarray:
    """A photo of smooth colors."""
    rows, columns = np.mgrid[:48, :64]
    return np.stack([4 * rows, 3 * columns, 255 - 4 * rows], axis=-1).astype(np.uint8)


def test_no_strength_is_no_change_of_color():
    photo = np.zeros((4, 4, 3), np.uint8)
    assert color_jitter(photo, 0.0, np.random.default_rng(0)) is photo


def test_gray_stays_gray_and_a_color_changes():
    rng = np.random.default_rng(0)
    gray = color_jitter(np.full((4, 4, 3), 100, np.uint8), 1.0, rng)
    assert (gray == gray[..., :1]).all()
    assert not np.array_equal(
        color_jitter(np.full((4, 4, 3), (200, 60, 60), np.uint8), 1.0, rng)[0, 0], (200, 60, 60)
    )


@pytest.mark.parametrize("setting", ["color", "cast", "shade", "random_filter", "blur_noise"])
def test_each_change_follows_the_generator_and_keeps_shape_and_dtype(
    image: np.ndarray, setting: str
):
    none = {"color": 0.0, "cast": 0.0, "shade": 0.0, "random_filter": 0.0, "blur_noise": 0.0}
    assert np.array_equal(
        change_appearance(image, TrainConfig(**none), np.random.default_rng(0)), image
    )
    config = TrainConfig(**none | {setting: 1.0})
    first, again, other = (
        change_appearance(image, config, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first.shape, first.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, image)


def test_a_cast_keeps_the_order_of_tones():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(5):
        assert (
            np.diff(
                white_balance_jitter(ramp, 1.0, np.random.default_rng(seed)).astype(int), axis=1
            )
            >= 0
        ).all()


def test_uneven_light_is_smooth_and_never_black():
    lit = shade(np.full((96, 128, 3), 150, np.uint8), np.random.default_rng(0)).astype(int)
    assert lit.max() - lit.min() > 30
    assert np.abs(np.diff(lit, axis=0)).max() < 12
    assert np.ptp(lit, axis=-1).max() == 0


def test_a_random_filter_keeps_edges_in_their_place():
    step = np.zeros((40, 60, 3), np.uint8)
    step[:, 30:] = 200
    for seed in range(5):
        change = np.abs(
            np.diff(rand_conv(step, np.random.default_rng(seed)).astype(int), axis=1)
        ).max((0, 2))
        assert change[8:24].max() <= 1
        assert change[35:51].max() <= 1
        assert change[26:33].max() > 5
