"""Random changes of a photo that leave its labels as they are: light, color, sharpness, noise, texture."""

import cv2
import numpy as np

from galago.training.config import TrainConfig

FILTER_SIDES = (1, 3, 5, 7)
LIGHT_GRID = (3, 4)  # points of the random field of light


def change_appearance(image: np.ndarray, config: TrainConfig, rng: np.random.Generator) -> np.ndarray:
    """Change how a photo looks, as the strengths and probabilities of a config say.

    Args:
        image: (H, W, 3) uint8 RGB.
        config: the ranges; what is 0 draws nothing from `rng`, so that a recipe's views stay what they were.
        rng: the only source of randomness.
    Returns:
        an image of the same shape and dtype.
    """
    image = change_color(image, config.color, rng)
    if config.cast:
        image = cast_color(image, config.cast, rng)
    if config.shade and rng.random() < config.shade:
        image = shade(image, rng)
    if config.random_filter and rng.random() < config.random_filter:
        image = filter_randomly(image, rng)
    if rng.random() < config.blur_noise:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < config.blur_noise:
        noise = rng.uniform(2.0, 10.0) * rng.standard_normal(image.shape, np.float32)
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    return image


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


def cast_color(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change white balance and exposure: a random gamma and gain for each channel.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: 1 draws gains of up to 1.4 and gammas of up to 2 for all channels together and 1.4 for each.
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


def filter_randomly(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blend a photo with the same photo after a random convolution, which changes texture and color but no shape.

    Xu et al., arXiv:2007.13003, section 3.1 and the mixing variant of section 3.2; the result gets the mean and the contrast of
    the photo, so that it does not leave the range of uint8.
    """
    side = int(rng.choice(FILTER_SIDES))
    filters = rng.normal(0, 1, (3, 3, side, side)).astype(np.float32)
    source = image.astype(np.float32)
    planes = [sum(cv2.filter2D(source[..., i], -1, filters[o, i]) for i in range(3)) for o in range(3)]
    filtered = np.stack(planes, axis=-1)
    filtered = (filtered - filtered.mean()) / (filtered.std() + 1e-3) * source.std() + source.mean()
    share = rng.random()
    mixed: np.ndarray = np.clip(share * source + (1 - share) * filtered, 0, 255).astype(np.uint8)
    return mixed
