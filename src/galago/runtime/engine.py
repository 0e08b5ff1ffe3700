"""Engine: the one method that every way to run a model file has."""

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Runs one model file."""

    name: str

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one photo.

        Args:
            image: (1, H, W, 3) uint8 RGB, H and W multiples of 32.
        Returns:
            (1, K, H / stride, W / stride) float32 logits; valid until the next call.
        """
