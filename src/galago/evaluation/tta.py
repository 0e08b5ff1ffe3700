"""Test-time augmentation: softmax probabilities averaged over windows, scales and mirrored images.

It gains points of IoU for time that a device does not have; results with and without it do not
compare.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from galago._core.softmax import softmax
from galago.errors import ConfigError
from galago.evaluation.sliding_window import LogitsFn, sliding_window_inference

# pixels; smaller ones take hours and show the network nothing
MIN_WINDOW = 32
MIN_STRIDE = 8


@dataclass(frozen=True, kw_only=True)
class TTAConfig:
    """How an image is shown to the network (default: once and whole).

    Attributes:
        window: (height, width) in pixels of sliding windows, or None for the whole image at once.
        stride: pixels from one window to the next, down and across (default: two thirds of the
            window).
        scales: sizes that the image is shown in, 1 being that of the model's resize rule.
        flip: whether each view is shown mirrored as well.
    """

    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if self.stride and not self.window:
            raise ConfigError(
                "A stride is that of sliding windows. Give their size, for example --slide 512 "
                "1024."
            )
        _check_sides("window", self.window, MIN_WINDOW)
        _check_sides("stride", self.stride, MIN_STRIDE)
        if self.window and (self.step[0] > self.window[0] or self.step[1] > self.window[1]):
            raise ConfigError(
                f"A stride of {self.stride} leaves gaps between windows of {self.window} (height, "
                "width)."
            )
        if not self.scales or not all(0.05 <= scale <= 20 for scale in self.scales):
            raise ConfigError(
                f"Scales need numbers from 0.05 to 20, such as 0.5,1,1.5, got {self.scales}."
            )
        if len(set(self.scales)) < len(self.scales):
            raise ConfigError(f"Scales must differ, or one would count twice, got {self.scales}.")

    @property
    def plain(self) -> bool:
        """Whether the image is shown once, whole and as it is."""
        return self == TTAConfig()

    @property
    def step(self) -> tuple[int, int]:
        """Pixels from one window to the next, down and across."""
        assert self.window
        return self.stride or (-(-2 * self.window[0] // 3), -(-2 * self.window[1] // 3))

    def summary(self) -> dict[str, Any]:
        """Return the configuration as JSON values."""
        return {
            "slide": list(self.window) if self.window else None,
            "stride": list(self.step) if self.window else None,
            "scales": list(self.scales),
            "flip": self.flip,
        }

    def describe(self) -> str:
        """Return the configuration in a few words."""
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        plural = "s" if len(self.scales) > 1 else ""
        words = ["one scale" if self.scales == (1.0,) else f"scale{plural} {scales}"]
        words.append("flip" if self.flip else "no flip")
        if self.window:
            words.append("windows of {} x {} every {} x {}".format(*self.window, *self.step))
        return ", ".join(words)


def _check_sides(name: str, sides: tuple[int, int] | None, least: int) -> None:
    """Refuse a window or a stride that is too small.

    Raises:
        ConfigError: a side has fewer than `least` pixels.
    """
    if sides and min(sides) < least:
        raise ConfigError(f"A {name} needs {least} or more pixels as (height, width), got {sides}.")


def predict_probabilities(
    logits_fn: LogitsFn, image: np.ndarray, size: tuple[int, int], tta: TTAConfig
) -> np.ndarray:
    """Return the softmax probabilities, averaged over all views of an image.

    Memory is that of about three such results.

    Args:
        logits_fn: runs the network.
        image: (H, W, 3) uint8 RGB, after the model's resize rule.
        size: (height, width) of the image before it.
        tta: which views to take.
    Returns:
        (K, height, width) float32, 0 to 1.
    """
    total: np.ndarray | None = None
    for scale in tta.scales:
        view = resize_by(image, scale)
        for flipped in (False, True) if tta.flip else (False,):
            probs = _view_probabilities(logits_fn, view[:, ::-1] if flipped else view, size, tta)
            probs = probs[..., ::-1] if flipped else probs
            total = probs if total is None else np.add(total, probs, out=total)
    assert total is not None
    total /= len(tta.scales) * (1 + tta.flip)
    return total


def _view_probabilities(
    logits_fn: LogitsFn, view: np.ndarray, size: tuple[int, int], tta: TTAConfig
) -> np.ndarray:
    """Return the (K, height, width) float32 softmax of one view, through windows if any."""
    view = np.ascontiguousarray(view)
    if not tta.window:
        return softmax(logits_fn(view, size))
    return softmax(
        resize_planes(sliding_window_inference(logits_fn, view, tta.window, tta.step), size)
    )


def resize_by(image: np.ndarray, scale: float) -> np.ndarray:
    """Return an image resized by a factor with cubic interpolation; no side becomes 0."""
    if scale == 1:
        return image
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def resize_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (K, h, w) float32 planes resized bilinearly to (height, width)."""
    if planes.shape[1:] == size:
        return planes
    resized = np.empty((len(planes), *size), np.float32)
    for plane, full in zip(planes, resized, strict=True):
        cv2.resize(plane, size[::-1], dst=full, interpolation=cv2.INTER_LINEAR)
    return resized
