"""Views: a photo in windows, in several sizes and mirrored, what the network says of them averaged.

Such tricks buy points of IoU with time that a device does not have; results with and without them
do not compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from galago.errors import ConfigError

SMALLEST_WINDOW, SMALLEST_STRIDE = (
    32,
    8,
)  # pixels; smaller ones take hours and show the network nothing
# (H, W, 3) uint8 RGB and a (height, width) to the logits of the whole image, grown to that size:
# (K, height, width) float32.
LogitsOf = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class TTAConfig:
    """How a photo is shown to the network; without anything said, once and whole.

    Attributes:
        window: (height, width) in pixels of sliding windows, or None for the whole photo at once.
        stride: pixels from one window to the next, down and across; two thirds of the window
            without it.
        scales: sizes that the photo is shown in, 1 being that of the model's resize rule.
        flip: whether each view is shown mirrored as well.
    """

    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if self.stride and not self.window:
            raise ConfigError(
                "A stride is that of sliding windows. Say how large they are, as --slide 512 1024."
            )
        for sides, what, least in (
            (self.window, "window", SMALLEST_WINDOW),
            (self.stride, "stride", SMALLEST_STRIDE),
        ):
            if sides and min(sides) < least:
                raise ConfigError(
                    f"A {what} needs {least} or more pixels as (height, width), got {sides}."
                )
        if (
            self.window
            and self.stride
            and any(step > side for step, side in zip(self.stride, self.window, strict=True))
        ):
            raise ConfigError(
                f"A stride of {self.stride} leaves gaps between windows of {self.window} (height, "
                "width)."
            )
        if not self.scales or not all(0.05 <= scale <= 20 for scale in self.scales):
            raise ConfigError(
                f"Scales need numbers from 0.05 to 20, as 0.5,1,1.5, got {self.scales}."
            )
        if len(set(self.scales)) < len(self.scales):
            raise ConfigError(f"Scales must differ, or one would count twice, got {self.scales}.")

    @property
    def plain(self) -> bool:
        """Whether the photo is shown once, whole and as it is."""
        return self == TTAConfig()

    @property
    def step(self) -> tuple[int, int]:
        """Pixels from one window to the next, down and across."""
        assert self.window
        return self.stride or (-(-2 * self.window[0] // 3), -(-2 * self.window[1] // 3))

    def summary(self) -> dict[str, Any]:
        """Return what is done as JSON knows it."""
        return {
            "slide": list(self.window) if self.window else None,
            "stride": list(self.step) if self.window else None,
            "scales": list(self.scales),
            "flip": self.flip,
        }

    def describe(self) -> str:
        """Say what is done in a few words."""
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        words = [
            "one scale"
            if self.scales == (1.0,)
            else f"scale{'s' * (len(self.scales) > 1)} {scales}"
        ]
        words.append("flip" if self.flip else "no flip")
        if self.window:
            words.append("windows of {} x {} every {} x {}".format(*self.window, *self.step))
        return ", ".join(words)


def probabilities(
    logits: LogitsOf, image: np.ndarray, size: tuple[int, int], views: TTAConfig
) -> np.ndarray:
    """Average the softmax probabilities of all views of a photo.

    Memory is that of about three such results.

    Args:
        logits: runs the network.
        image: (H, W, 3) uint8 RGB, the photo as the model's resize rule leaves it.
        size: (height, width) of the photo itself.
        views: what to show.
    Returns:
        (K, height, width) float32, 0 to 1.
    """
    total: np.ndarray | None = None
    for scale in views.scales:
        shown = scaled(image, scale)
        for flipped in (False, True) if views.flip else (False,):
            scores = view_scores(logits, shown[:, ::-1] if flipped else shown, size, views)
            scores = scores[..., ::-1] if flipped else scores
            total = scores if total is None else np.add(total, scores, out=total)
    assert total is not None
    total /= len(views.scales) * (1 + views.flip)
    return total


def view_scores(
    logits: LogitsOf, image: np.ndarray, size: tuple[int, int], views: TTAConfig
) -> np.ndarray:
    """Return the (K, height, width) float32 softmax of one view, through windows if there are any."""
    image = np.ascontiguousarray(image)
    window = views.window
    grown = (
        resize_planes(sliding_window_inference(logits, image, window, views.step), size)
        if window
        else logits(image, size)
    )
    scores: np.ndarray = grown - grown.max(axis=0)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0)
    return scores


def sliding_window_inference(
    logits: LogitsOf, image: np.ndarray, window: tuple[int, int], step: tuple[int, int]
) -> np.ndarray:
    """Run the network on windows, and average its logits where they overlap.

    All windows are whole: the last ones of a row or column are moved back. A side that is longer
    than the image's is cut to it.

    Args:
        logits: runs the network.
        image: (H, W, 3) uint8 RGB.
        window: (height, width) in pixels.
        step: pixels from one window to the next, down and across.
    Returns:
        (K, H, W) float32.
    """
    height, width = image.shape[:2]
    sides = min(window[0], height), min(window[1], width)
    total: np.ndarray | None = None
    counts = np.zeros((height, width), np.float32)
    for top in window_offsets(height, sides[0], step[0]):
        for left in window_offsets(width, sides[1], step[1]):
            place = slice(top, top + sides[0]), slice(left, left + sides[1])
            part = logits(np.ascontiguousarray(image[place]), sides)
            if total is None:
                total = np.zeros((len(part), height, width), np.float32)
            total[(slice(None), *place)] += part
            counts[place] += 1
    assert total is not None
    total /= counts
    return total


def window_offsets(length: int, side: int, step: int) -> list[int]:
    """Return where windows start along an axis that is at least one window long.

    The last one ends at its end.
    """
    return [*range(0, length - side, step), length - side]


def scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize an image by a factor with cubic interpolation; no side becomes 0."""
    if scale == 1:
        return image
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def resize_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring (K, h, w) float32 planes to (height, width), bilinearly."""
    if planes.shape[1:] == size:
        return planes
    grown = np.empty((len(planes), *size), np.float32)
    for plane, full in zip(planes, grown, strict=True):
        cv2.resize(plane, size[::-1], dst=full, interpolation=cv2.INTER_LINEAR)
    return grown


def argmax_classes(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each pixel and its probability, (H, W) uint8 and float32.

    The smallest id where classes tie.
    """
    best = scores[0].copy()
    labels = np.zeros(best.shape, np.uint8)
    for class_id in range(1, len(scores)):
        labels[scores[class_id] > best] = class_id
        np.maximum(best, scores[class_id], out=best)
    return labels, best
