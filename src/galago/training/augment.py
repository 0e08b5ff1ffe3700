"""Random views of a labeled photo: zoom, crop, mirror, paste.

OpenCV does the pixels: a millisecond each.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from galago.labels import IGNORE_ID
from galago.training.config import TrainConfig

SMALLEST_RARE_SHARE = 0.0005  # of a photo's pixels; fewer are too few to aim a crop at


def augment(
    photos: Sequence[tuple[np.ndarray, np.ndarray]], config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one random view.

    Args:
        photos: one photo, or a second one whose things are pasted into the view: (H, W, 3) uint8
            RGB with (H, W) uint8 labels, 255 = ignore.
        config: the ranges; the view has its crop_size.
        rng: the only source of randomness.
    Returns:
        image and labels of (crop height, crop width); what lies outside the photo is of mean color
        and ignored.
    """
    view, *others = (
        random_hflip(*random_resized_crop(image, labels, config, rng), config, rng)
        for image, labels in photos
    )
    for other in others:
        view = paste_things(view, other, rng)
    image = change_appearance(view[0], config, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(view[1])


def random_hflip(
    image: np.ndarray, labels: np.ndarray, config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange left and right with the probability of the config."""
    if rng.random() < config.flip:
        return image[:, ::-1], labels[:, ::-1]
    return image, labels


def random_resized_crop(
    image: np.ndarray, labels: np.ndarray, config: TrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window of random place and size out of the photo and bring it to crop_size."""
    scale = np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale)))
    stretch = np.exp(rng.uniform(-1, 1) * np.log(config.max_stretch) / 2)
    window = [
        max(1, round(side / zoom))
        for side, zoom in zip(config.crop_size, (scale * stretch, scale / stretch), strict=True)
    ]
    middle = _rare_pixel(labels, rng) if rng.random() < config.rare_crop else None
    top, left = (
        _window_start(photo, part, None if middle is None else middle[axis], rng)
        for axis, (photo, part) in enumerate(zip(labels.shape, window, strict=True))
    )
    fill = tuple(round(255 * channel) for channel in config.mean)
    return (
        _resized_window(
            image,
            (top, left),
            window,
            config.crop_size,
            cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA,
            fill,
        ),
        _resized_window(
            labels, (top, left), window, config.crop_size, cv2.INTER_NEAREST_EXACT, (IGNORE_ID,)
        ),
    )


def _rare_pixel(labels: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a random pixel of a random class of the photo, each class drawn alike however few
    pixels it has.
    """
    counts = np.bincount(labels.ravel(), minlength=IGNORE_ID + 1)[:IGNORE_ID]
    present = np.flatnonzero(counts >= SMALLEST_RARE_SHARE * labels.size)
    if not len(present):
        return None
    places = np.flatnonzero(labels.ravel() == rng.choice(present))
    row, column = divmod(int(rng.choice(places)), labels.shape[1])
    return row, column


def _window_start(photo: int, window: int, middle: int | None, rng: np.random.Generator) -> int:
    """Choose where a window starts along one axis: anywhere that wastes nothing, near the wanted
    middle if there is one.
    """
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
        margins = (
            max(-top, 0),
            max(bottom - pixels.shape[0], 0),
            max(-left, 0),
            max(right - pixels.shape[1], 0),
        )
        part = cv2.copyMakeBorder(part, *margins, cv2.BORDER_CONSTANT, value=fill)
    return cv2.resize(part, size[::-1], interpolation=interpolation)


FILTER_SIDES = (1, 3, 5, 7)
LIGHT_GRID = (3, 4)  # points of the random field of light


def change_appearance(
    image: np.ndarray, config: TrainConfig, rng: np.random.Generator
) -> np.ndarray:
    """Change how a photo looks, as the strengths and probabilities of a config say.

    Args:
        image: (H, W, 3) uint8 RGB.
        config: the ranges; what is 0 draws nothing from `rng`, so that a recipe's views stay what
            they were.
        rng: the only source of randomness.
    Returns:
        an image of the same shape and dtype.
    """
    image = color_jitter(image, config.color, rng)
    if config.cast:
        image = white_balance_jitter(image, config.cast, rng)
    if config.shade and rng.random() < config.shade:
        image = shade(image, rng)
    if config.random_filter and rng.random() < config.random_filter:
        image = rand_conv(image, rng)
    if rng.random() < config.blur_noise:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < config.blur_noise:
        noise = rng.uniform(2.0, 10.0) * rng.standard_normal(image.shape, np.float32)
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    return image


def color_jitter(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, gamma, saturation and hue at random.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: 0 leaves the photo as it is; 1 draws factors of up to 2 and a hue shift of up to
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
    hue = ((levels + rng.uniform(-18, 18) * strength) % 180).astype(
        np.uint8
    )  # OpenCV counts hue in steps of 2 degrees
    richness = np.clip(levels * saturation, 0, 255).astype(np.uint8)
    table = np.stack([hue, richness, levels.astype(np.uint8)], axis=-1)[None]
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)


def white_balance_jitter(
    image: np.ndarray, strength: float, rng: np.random.Generator
) -> np.ndarray:
    """Change white balance and exposure: a random gamma and gain for each channel.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: 1 draws gains of up to 1.4 and gammas of up to 2 for all channels together and 1.4
            for each.
        rng: source of randomness.
    """
    gammas = 2.0 ** (strength * (rng.uniform(-1, 1) + rng.uniform(-0.5, 0.5, 3)))
    gains = 2.0 ** (strength * rng.uniform(-0.5, 0.5, 3))
    ramp = np.linspace(0, 1, 256)[:, None]
    table = np.clip(255 * gains * ramp**gammas, 0, 255).astype(np.uint8)
    changed: np.ndarray = cv2.LUT(image, table[None])
    return changed


def shade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light a photo unevenly: a smooth field of factors from a third to one and a half."""
    field = rng.uniform(1 / 3, 1.5, LIGHT_GRID).astype(np.float32)
    light = cv2.resize(field, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    lit: np.ndarray = cv2.multiply(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    return lit


def rand_conv(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blend a photo with the same photo after a random convolution, which changes texture and color
    but no shape.

    Xu et al., arXiv:2007.13003, section 3.1 and the mixing variant of section 3.2; the result gets
    the mean and the contrast of the photo, so that it does not leave the range of uint8.
    """
    side = int(rng.choice(FILTER_SIDES))
    filters = rng.normal(0, 1, (3, 3, side, side)).astype(np.float32)
    source = image.astype(np.float32)
    planes = [
        sum(cv2.filter2D(source[..., i], -1, filters[o, i]) for i in range(3)) for o in range(3)
    ]
    filtered = np.stack(planes, axis=-1)
    filtered = (filtered - filtered.mean()) / (filtered.std() + 1e-3) * source.std() + source.mean()
    share = rng.random()
    mixed: np.ndarray = np.clip(share * source + (1 - share) * filtered, 0, 255).astype(np.uint8)
    return mixed


LARGEST_SHARE = 0.05  # of a view's pixels: what takes more is background, not a thing
KEEP = 0.7  # probability of each class


def paste_things(
    view: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Put the pixels of the small classes of another view where they stand there.

    See ClassMix, arXiv:2007.07936, section 3.1.

    Args:
        view, other: (H, W, 3) uint8 images with (H, W) uint8 labels of one size; left as they are.
        rng: chooses among the classes of `other` that cover at most `LARGEST_SHARE` of it.
    Returns:
        image and labels.
    """
    (image, labels), (other_image, other_labels) = view, other
    counts = np.bincount(other_labels.ravel(), minlength=IGNORE_ID + 1)[:IGNORE_ID]
    small = np.flatnonzero((counts > 0) & (counts <= LARGEST_SHARE * labels.size))
    table = np.zeros(IGNORE_ID + 1, np.uint8)
    table[small[rng.random(len(small)) < KEEP]] = 1
    pasted = cv2.LUT(other_labels, table)
    return _copy(other_image, pasted, image), _copy(other_labels, pasted, labels)


def _copy(source: np.ndarray, mask: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return `target` with the pixels of `source` where the mask is not 0."""
    result: np.ndarray = cv2.copyTo(
        source, mask, np.array(target)
    )  # a copy of its own, in rows one after the other
    return result
