"""Colors of pixels: how often each occurs, and which named one is near."""

import numpy as np

from galago.labels import Color, LabelSet

NEAR = 60  # distance in RGB within which a color is worth a hint


def count_colors(pixels: np.ndarray) -> list[tuple[Color, int]]:
    """Count the pixels of each color of an (H, W, 3) uint8 RGB image, the commonest first."""
    values, counts = np.unique(pack(pixels), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [(unpack(int(values[index])), int(counts[index])) for index in order]


def pack(pixels: np.ndarray) -> np.ndarray:
    """Turn (..., 3) uint8 RGB into (...) int32, one number per color."""
    wide = pixels.astype(np.int32)
    packed: np.ndarray = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def unpack(number: int) -> Color:
    """Turn the number of a color back into (red, green, blue)."""
    return number >> 16, number >> 8 & 255, number & 255


def nearest(color: Color, label_set: LabelSet) -> str:
    """Return the class of the nearest color, such as ` (near car)`, or "" if none is near."""
    distances = np.linalg.norm(np.array(label_set.palette, np.float64) - color, axis=1)
    index = int(distances.argmin())
    if distances[index] > NEAR:
        return ""
    return f" ({'as' if distances[index] == 0 else 'near'} {label_set.names[index]})"
