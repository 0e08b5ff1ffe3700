"""Smoother: an average of logits over the frames of a video, so that labels flicker less."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from galago.errors import ConfigError


class Smoother:
    """Averages the logits of a video over time, before they become labels.

    An exponential moving average: each new frame has the weight `1 - strength`, the average of
    the earlier ones `strength`. It takes less than a millisecond, because it works at the network's
    stride. Borders flicker less; fast objects leave a trail of about strength / (1 - strength)
    frames.

    One smoother belongs to one video, whose frames come in order: two threads cannot label frames
    with it at once.
    """

    def __init__(self, strength: float) -> None:
        """Start a new average.

        Args:
            strength: 0 changes nothing; below 1.
        Raises:
            ConfigError: the strength is outside 0 to 1, or is 1, which would show the first frame's
                labels forever.
        """
        if not 0 <= strength < 1:
            raise ConfigError(
                f"Expected a smoothing of at least 0 and below 1, got {strength}. Start with 0.6."
            )
        self.strength = strength
        self._average: np.ndarray | None = None
        self._busy = threading.Lock()

    @contextmanager
    def one_frame(self) -> Iterator[None]:
        """Reserve the smoother for one frame, from before the network runs until its labels exist.

        Raises:
            ConfigError: another thread is busy with a frame, so that frames would mix, or come out
                of order.
        """
        if not self._busy.acquire(blocking=False):
            raise ConfigError(
                "Two frames were given to one smoother at once. A smoother belongs to one video, "
                "whose frames come one after the "
                "other: make one Smoother per video."
            )
        try:
            yield
        finally:
            self._busy.release()

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Add a frame's (K, h, w) float32 logits and return the average, valid until the next call.

        A frame of another size starts a new average.
        """
        if self._average is None or self._average.shape != logits.shape:
            self._average = logits.copy()  # the engine writes over its own
        else:
            self._average *= self.strength
            self._average += (1 - self.strength) * logits
        return self._average
