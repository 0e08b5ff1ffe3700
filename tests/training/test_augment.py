import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from galago.training.augment import (
    augment,
    color_jitter,
    photometric,
)
from galago.training.config import TrainConfig

pytestmark = pytest.mark.torch

MEAN_COLOR = (124, 116, 104)  # 255 times ImageNet's mean


def settings(**changes: object) -> TrainConfig:
    """Return settings under which a view is a plain crop of 64 x 64."""
    plain = {
        "min_scale": 1.0,
        "max_scale": 1.0,
        "aspect_jitter": 1.0,
        "flip": 0.0,
        "class_balanced_crop": 0.0,
        "color_jitter": 0.0,
        "blur_noise": 0.0,
    }
    return TrainConfig(**{"crop_size": (64, 64)} | plain | changes)  # type: ignore[arg-type]


def coded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a photo of blocks whose red channel is 20 times the label."""
    labels = (
        np.random.default_rng(0)
        .integers(0, 12, (height // 24, width // 24), dtype=np.uint8)
        .repeat(24, 0)
        .repeat(24, 1)
    )
    return np.stack([20 * labels, labels, labels], axis=-1), labels


@pytest.mark.parametrize("size", [(96, 144), (24, 240), (360, 480)])
def test_a_view_has_the_crop_size_whatever_the_size_of_the_photo(size: tuple[int, int]):
    image, labels = augment(
        *coded(*size), TrainConfig(crop_size=(64, 96)), np.random.default_rng(0)
    )
    assert image.shape == (64, 96, 3)
    assert labels.shape == (64, 96)
    assert image.dtype == labels.dtype == np.uint8
    assert image.flags.c_contiguous
    assert labels.flags.c_contiguous


def test_a_view_without_any_change_is_the_photo():
    photo, truth = coded(72, 96)
    image, labels = augment(photo, truth, settings(crop_size=(64, 96)), np.random.default_rng(0))
    top = next(row for row in range(9) if np.array_equal(truth[row : row + 64], labels))
    np.testing.assert_array_equal(image, photo[top : top + 64])


def test_the_generator_alone_decides_on_the_view():
    photo = coded(96, 144)
    first, again, other = (
        augment(*photo, TrainConfig(crop_size=(64, 64)), np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    for given, expected in zip(again, first, strict=True):
        np.testing.assert_array_equal(given, expected)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(12))
def test_image_and_labels_move_together(seed: int):
    zoomed = settings(
        min_scale=0.5, max_scale=2.0, aspect_jitter=1.3, flip=0.5, class_balanced_crop=0.5
    )
    image, labels = augment(*coded(96, 144), zoomed, np.random.default_rng(seed))
    around = np.ones((9, 9), np.uint8)
    inside = cv2.erode(labels, around) == cv2.dilate(
        labels, around
    )  # where a border between blocks cannot reach
    expected = np.where(labels == 255, MEAN_COLOR[0], 20 * labels.astype(int))
    assert inside.sum() > 200
    np.testing.assert_allclose(image[..., 0][inside], expected[inside], atol=1)


def test_a_flip_mirrors_image_and_labels():
    straight, mirrored = (
        augment(*coded(96, 144), settings(flip=flip), np.random.default_rng(0))
        for flip in (0.0, 1.0)
    )
    for given, expected in zip(mirrored, straight, strict=True):
        np.testing.assert_array_equal(given, expected[:, ::-1])


def test_what_lies_outside_the_photo_is_ignored_and_of_mean_color():
    photo, truth = np.full((32, 32, 3), 9, np.uint8), np.zeros((32, 32), np.uint8)
    image, labels = augment(photo, truth, settings(), np.random.default_rng(0))
    outside = labels == 255
    assert outside.sum() == 64 * 64 - 32 * 32
    assert set(map(tuple, image[outside].tolist())) == {MEAN_COLOR}
    assert set(map(tuple, image[~outside].tolist())) == {(9, 9, 9)}


def test_rare_crops_show_a_rare_class_more_often():
    truth = np.zeros((256, 256), np.uint8)
    truth[120:136, 40:56] = 1

    def share(class_balanced_crop: float) -> float:
        rng, config = np.random.default_rng(0), settings(class_balanced_crop=class_balanced_crop)
        return float(
            np.mean(
                [
                    (augment(np.zeros((256, 256, 3), np.uint8), truth, config, rng)[1] == 1).any()
                    for _ in range(200)
                ]
            )
        )

    # by chance 79 of 193 places along each axis, 17 %; aimed, the half of the crops that chose the
    # class at least
    assert share(0.0) < 0.25
    assert share(1.0) > 0.5


def test_a_photo_without_labels_still_gives_a_view():
    _, labels = augment(
        np.zeros((96, 96, 3), np.uint8),
        np.full((96, 96), 255, np.uint8),
        settings(class_balanced_crop=1.0),
        np.random.default_rng(0),
    )
    assert (labels == 255).all()


def test_blur_and_noise_change_the_image_and_not_the_labels():
    (plain, truth), (noisy, labels) = (
        augment(*coded(96, 144), settings(blur_noise=share), np.random.default_rng(0))
        for share in (0.0, 1.0)
    )
    np.testing.assert_array_equal(labels, truth)
    assert 0 < np.abs(noisy.astype(int) - plain).mean() < 20


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


@pytest.mark.parametrize("setting", ["color_jitter", "blur_noise"])
def test_each_change_follows_the_generator_and_keeps_shape_and_dtype(
    image: np.ndarray, setting: str
):
    none = {"color_jitter": 0.0, "blur_noise": 0.0}
    assert np.array_equal(photometric(image, TrainConfig(**none), np.random.default_rng(0)), image)
    config = TrainConfig(**none | {setting: 1.0})
    first, again, other = (
        photometric(image, config, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first.shape, first.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, image)
