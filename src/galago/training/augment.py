"""Random augmentation of a labeled image: resized crop, flip, colors, blur and noise.

Each step runs in OpenCV and takes about a millisecond.
"""

import cv2
import numpy as np

from galago.labels import IGNORE_ID
from galago.spec import mean_color
from galago.training.config import TrainConfig

MIN_CLASS_SHARE = 0.0005  # of an image's pixels; a smaller class is no target for a crop


def augment(
    image: np.ndarray, labels: np.ndarray, config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return one random crop of an image, augmented, and its labels.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, 255 = ignore.
        config: ranges of the augmentation.
        rng: the only source of randomness.
    Returns:
        image and labels of config.crop_size; pixels outside the image have the mean color and are
        ignored.
    """
    image, labels = random_resized_crop(image, labels, config, rng)
    image, labels = random_hflip(image, labels, config.flip, rng)
    image = photometric(image, config, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def random_hflip(
    image: np.ndarray, labels: np.ndarray, probability: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return image and labels, mirrored left to right with the given probability."""
    if rng.random() < probability:
        return image[:, ::-1], labels[:, ::-1]
    return image, labels


def random_resized_crop(
    image: np.ndarray, labels: np.ndarray, config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a window of random place, size and aspect ratio, resized to config.crop_size."""
    scale = np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale)))
    stretch = np.exp(rng.uniform(-1, 1) * np.log(config.aspect_jitter) / 2)
    window = [
        max(1, round(side / zoom))
        for side, zoom in zip(config.crop_size, (scale * stretch, scale / stretch), strict=True)
    ]
    target = _random_class_pixel(labels, rng) if rng.random() < config.class_balanced_crop else None
    start = [
        _window_start(length, window[axis], None if target is None else target[axis], rng)
        for axis, length in enumerate(labels.shape)
    ]
    shrink = cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA
    image = _padded_window(image, start, window, [*mean_color(config.mean)])
    labels = _padded_window(labels, start, window, [IGNORE_ID])
    size = config.crop_size[::-1]
    return (
        cv2.resize(image, size, interpolation=shrink),
        cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def _random_class_pixel(labels: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return (row, column) of a random pixel of a random class in the image, or None.

    Each class is equally likely, however few pixels it has.
    """
    counts = np.bincount(labels.ravel(), minlength=IGNORE_ID + 1)[:IGNORE_ID]
    present = np.flatnonzero(counts >= MIN_CLASS_SHARE * labels.size)
    if not len(present):
        return None
    pixels = np.flatnonzero(labels.ravel() == rng.choice(present))
    row, column = divmod(int(rng.choice(pixels)), labels.shape[1])
    return row, column


def _window_start(length: int, window: int, target: int | None, rng: np.random.Generator) -> int:
    """Return where a window starts along one axis: anywhere inside the image, or around a target.

    Args:
        length: of the image, in pixels.
        window: length of the window; where it is larger, the image lies anywhere inside it.
        target: pixel that the window has to show, or None.
        rng: source of randomness.
    """
    low, high = min(0, length - window), max(0, length - window)
    if target is None:
        return int(rng.integers(low, high + 1))
    return int(np.clip(target - int(rng.uniform(0.2, 0.8) * window), low, high))


def _padded_window(
    pixels: np.ndarray, start: list[int], window: list[int], fill: list[int]
) -> np.ndarray:
    """Return a (height, width) window of an array, filled where it reaches beyond the array."""
    top, left = start
    bottom, right = top + window[0], left + window[1]
    crop = pixels[max(top, 0) : bottom, max(left, 0) : right]
    if crop.shape[:2] == tuple(window):
        return crop
    return cv2.copyMakeBorder(
        crop,
        max(-top, 0),
        max(bottom - pixels.shape[0], 0),
        max(-left, 0),
        max(right - pixels.shape[1], 0),
        cv2.BORDER_CONSTANT,
        value=fill,
    )


def photometric(image: np.ndarray, config: TrainConfig, rng: np.random.Generator) -> np.ndarray:
    """Return an image with random colors, blur and noise; labels stay valid.

    Args:
        image: (H, W, 3) uint8 RGB.
        config: strengths and probabilities.
        rng: the only source of randomness.
    """
    image = color_jitter(image, config.color_jitter, rng)
    if rng.random() < config.blur_noise:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < config.blur_noise:
        noise = rng.uniform(2.0, 10.0) * rng.standard_normal(image.shape, np.float32)
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    return image


def color_jitter(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image of random brightness, contrast, gamma, saturation and hue.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: 0 returns the image itself; 1 draws factors of up to 2 and a hue shift of up to
            36 degrees.
        rng: source of randomness.
    """
    if strength == 0:
        return image
    contrast, gamma, saturation = 2.0 ** (strength * rng.uniform(-1, 1, 3))
    brightness = strength * rng.uniform(-64, 64)
    ramp = np.linspace(0, 1, 256) ** gamma
    tones = np.clip(255 * ((ramp - 0.5) * contrast + 0.5) + brightness, 0, 255).astype(np.uint8)
    hsv = cv2.cvtColor(cv2.LUT(image, tones), cv2.COLOR_RGB2HSV)
    levels = np.arange(256)
    # OpenCV stores hue in steps of 2 degrees
    hue = ((levels + rng.uniform(-18, 18) * strength) % 180).astype(np.uint8)
    saturated = np.clip(levels * saturation, 0, 255).astype(np.uint8)
    table = np.stack([hue, saturated, levels.astype(np.uint8)], axis=-1)[None]
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)
