"""Memory for the search for the largest class among interpolated logits."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scratch:
    """Memory that many chunks of pixels use in turn, as taking it anew costs as much as the arithmetic."""

    best: np.ndarray
    grown: np.ndarray
    term: np.ndarray
    larger: np.ndarray
    labels: np.ndarray
    raised: np.ndarray

    @classmethod
    def allocate(cls, shape: tuple[int, ...], labels: np.dtype) -> "Scratch":
        """Reserve memory for chunks of up to a shape."""
        kinds = (np.float32, np.float32, np.float32, bool, labels, labels)
        return cls(*(np.empty(shape, kind).reshape(-1) for kind in kinds))

    def fit(self, shape: tuple[int, ...]) -> "Scratch":
        """Return the start of the same memory in the shape of one chunk."""
        size = math.prod(shape)
        return Scratch(*(memory[:size].reshape(shape) for memory in vars(self).values()))
