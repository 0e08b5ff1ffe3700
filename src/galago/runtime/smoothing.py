"""Labels that flicker less from frame to frame."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from galago.errors import ConfigError


class Smoother:
    """Averages the logits of a film over time, before they become labels.

    Each new frame counts `1 - strength`, what was seen before `strength`: an exponential average.
    It costs less than a millisecond, as it works at the network's stride. Flicker on borders goes;
    what moves fast leaves a trail of about strength / (1 - strength) frames.

    One smoother belongs to one video, whose frames come in order: two threads cannot label frames
    with it at once.
    """

    def __init__(self, strength: float) -> None:
        """Start with no frame seen.

        Args:
            strength: 0 changes nothing; below 1.
        Raises:
            ConfigError: the strength is outside 0 to 1, or is 1, which would show the first frame's
                labels for good.
        """
        if not 0 <= strength < 1:
            raise ConfigError(
                f"Expected a smoothing of at least 0 and below 1, got {strength}. Start with 0.6."
            )
        self.strength = strength
        self._average: np.ndarray | None = None
        self._at_work = threading.Lock()

    @contextmanager
    def one_frame(self) -> Iterator[None]:
        """Keep the smoother for one frame, from before the network runs until its labels are there.

        Raises:
            ConfigError: another thread is at work on a frame with it, so that frames would mix, or
                come out of order.
        """
        if not self._at_work.acquire(blocking=False):
            raise ConfigError(
                "Two frames were given to one smoother at once. A smoother belongs to one video, "
                "whose frames come one after the "
                "other: make one Smoother per video."
            )
        try:
            yield
        finally:
            self._at_work.release()

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Take in a frame's (K, h, w) float32 logits and return their average so far.

        Valid until the next call.

        A frame of another size starts a new average.
        """
        if self._average is None or self._average.shape != logits.shape:
            self._average = logits.copy()  # the engine writes over its own
        else:
            self._average *= self.strength
            self._average += (1 - self.strength) * logits
        return self._average
