"""Sliding-window inference: a network on overlapping windows of an image, its logits averaged."""

from collections.abc import Callable

import numpy as np

# (H, W, 3) uint8 RGB and a (height, width) to the logits of the whole image, resized to that size:
# (K, height, width) float32.
LogitsFn = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def sliding_window_inference(
    logits_fn: LogitsFn, image: np.ndarray, window: tuple[int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Run the network on windows, and average its logits where they overlap.

    All windows are whole: the last ones of a row or column are moved back. A side that is longer
    than the image's is cut to it.

    Args:
        logits_fn: runs the network.
        image: (H, W, 3) uint8 RGB.
        window: (height, width) in pixels.
        stride: pixels from one window to the next, down and across.
    Returns:
        (K, H, W) float32.
    """
    height, width = image.shape[:2]
    size = min(window[0], height), min(window[1], width)
    total: np.ndarray | None = None
    counts = np.zeros((height, width), np.float32)
    for top in window_offsets(height, size[0], stride[0]):
        for left in window_offsets(width, size[1], stride[1]):
            region = slice(top, top + size[0]), slice(left, left + size[1])
            logits = logits_fn(np.ascontiguousarray(image[region]), size)
            if total is None:
                total = np.zeros((len(logits), height, width), np.float32)
            total[(slice(None), *region)] += logits
            counts[region] += 1
    assert total is not None
    total /= counts
    return total


def window_offsets(length: int, window: int, stride: int) -> list[int]:
    """Return where windows start along an axis that is at least one window long.

    The last window ends at the end of the axis.
    """
    return [*range(0, length - window, stride), length - window]
