"""Random views of a labeled photo: zoom, crop, mirror, paste. OpenCV does the pixels: a millisecond each."""

from collections.abc import Sequence

import cv2
import numpy as np

from galago.labels import IGNORE_ID
from galago.training.appearance import change_appearance
from galago.training.config import TrainConfig
from galago.training.paste import paste_things

SMALLEST_RARE_SHARE = 0.0005  # of a photo's pixels; fewer are too few to aim a crop at


def augment(
    photos: Sequence[tuple[np.ndarray, np.ndarray]], config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one random view.

    Args:
        photos: one photo, or a second one whose things are pasted into the view: (H, W, 3) uint8 RGB with (H, W) uint8 labels,
            255 = ignore.
        config: the ranges; the view has its crop_size.
        rng: the only source of randomness.
    Returns:
        image and labels of (crop height, crop width); what lies outside the photo is of mean color and ignored.
    """
    view, *others = (mirror(*zoom_and_crop(image, labels, config, rng), config, rng) for image, labels in photos)
    for other in others:
        view = paste_things(view, other, rng)
    image = change_appearance(view[0], config, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(view[1])


def mirror(image: np.ndarray, labels: np.ndarray, config: TrainConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Exchange left and right with the probability of the config."""
    if rng.random() < config.flip:
        return image[:, ::-1], labels[:, ::-1]
    return image, labels


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
