"""What to tell about many frames at the end, in bounded memory."""

from collections import deque
from collections.abc import Mapping
from statistics import median

LATEST = 10_000  # frames whose times are kept; a camera may run for weeks


class RunningStats:
    """Counts frames, adds up their areas and keeps their times.

    Attributes:
        count: frames so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._areas: dict[str, float] = {}
        self._times: dict[str, deque[float]] = {}

    def add(self, areas: Mapping[str, float], speed: Mapping[str, float]) -> None:
        """Count one frame.

        Args:
            areas: share of each class in it, 0 to 1.
            speed: milliseconds of each step.
        """
        self.count += 1
        for name, share in areas.items():
            self._areas[name] = self._areas.get(name, 0.0) + share
        for step, time_ms in speed.items():
            self._times.setdefault(step, deque(maxlen=LATEST)).append(time_ms)

    def areas(self) -> dict[str, float]:
        """Return the mean share of each class that occurred, the largest first."""
        shares = {name: total / self.count for name, total in self._areas.items()}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def speed(self) -> dict[str, float]:
        """Return the median milliseconds of each step."""
        return {step: median(times) for step, times in self._times.items()}
