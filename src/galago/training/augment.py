"""Random views of a labeled photo: zoom, crop, mirror, color, blur, noise. OpenCV does the pixels: a millisecond each."""

import cv2
import numpy as np

from galago.labels import IGNORE_ID
from galago.training.config import TrainConfig

SMALLEST_RARE_SHARE = 0.0005  # of a photo's pixels; fewer are too few to aim a crop at


def augment(
    image: np.ndarray, labels: np.ndarray, config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one random view.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, 255 = ignore.
        config: the ranges; the view has its crop_size.
        rng: the only source of randomness.
    Returns:
        image and labels of (crop height, crop width); what lies outside the photo is of mean color and ignored.
    """
    image, labels = zoom_and_crop(image, labels, config, rng)
    if rng.random() < config.flip:
        image, labels = image[:, ::-1], labels[:, ::-1]
    image = change_color(image, config.color, rng)
    if rng.random() < config.blur_noise:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < config.blur_noise:
        noise = rng.normal(0.0, rng.uniform(2.0, 10.0), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def zoom_and_crop(
    image: np.ndarray, labels: np.ndarray, config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window of random place and size out of the photo and bring it to crop_size."""
    scale = np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale)))
    stretch = np.exp(rng.uniform(-1, 1) * np.log(config.max_stretch) / 2)
    window = [max(1, round(side / zoom)) for side, zoom in zip(config.crop_size, (scale * stretch, scale / stretch), strict=True)]
    middle = _rare_pixel(labels, rng) if rng.random() < config.rare_crop else None
    top, left = (
        _window_start(photo, part, None if middle is None else middle[axis], rng)
        for axis, (photo, part) in enumerate(zip(labels.shape, window, strict=True))
    )
    fill = tuple(round(255 * channel) for channel in config.mean)
    return (
        _resized_window(image, (top, left), window, config.crop_size, cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA, fill),
        _resized_window(labels, (top, left), window, config.crop_size, cv2.INTER_NEAREST_EXACT, (IGNORE_ID,)),
    )


def _rare_pixel(labels: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a random pixel of a random class of the photo, each class drawn alike however few pixels it has."""
    counts = np.bincount(labels.ravel(), minlength=IGNORE_ID + 1)[:IGNORE_ID]
    present = np.flatnonzero(counts >= SMALLEST_RARE_SHARE * labels.size)
    if not len(present):
        return None
    places = np.flatnonzero(labels.ravel() == rng.choice(present))
    row, column = divmod(int(rng.choice(places)), labels.shape[1])
    return row, column


def _window_start(photo: int, window: int, middle: int | None, rng: np.random.Generator) -> int:
    """Choose where a window starts along one axis: anywhere that wastes nothing, near the wanted middle if there is one."""
    low, high = min(0, photo - window), max(0, photo - window)
    if middle is None:
        return int(rng.integers(low, high + 1))
    wanted = middle - int(rng.uniform(0.2, 0.8) * window)
    return int(np.clip(wanted, low, high))


def _resized_window(
    pixels: np.ndarray,
    start: tuple[int, int],
    window: list[int],
    size: tuple[int, int],
    interpolation: int,
    fill: tuple[int, ...],
) -> np.ndarray:
    top, left = start
    bottom, right = top + window[0], left + window[1]
    part = pixels[max(top, 0) : bottom, max(left, 0) : right]
    if part.shape[:2] != tuple(window):
        margins = max(-top, 0), max(bottom - pixels.shape[0], 0), max(-left, 0), max(right - pixels.shape[1], 0)
        part = cv2.copyMakeBorder(part, *margins, cv2.BORDER_CONSTANT, value=fill)
    return cv2.resize(part, size[::-1], interpolation=interpolation)


def change_color(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, gamma, saturation and hue at random.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: 0 leaves the photo as it is; 1 draws factors of up to 2 and a hue shift of up to 36 degrees.
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
    hue = ((levels + rng.uniform(-18, 18) * strength) % 180).astype(np.uint8)  # OpenCV counts hue in steps of 2 degrees
    richness = np.clip(levels * saturation, 0, 255).astype(np.uint8)
    table = np.stack([hue, richness, levels.astype(np.uint8)], axis=-1)[None]
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)
