"""Where pixels are among the logits, and the weights of the logits in each pixel.

Half-pixel centers and repeated borders, like in PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAPS = {"bilinear": 2, "bicubic": 4}  # logits per pixel along each axis
CUBIC_A = -0.75  # Keys' parameter, the same as in PyTorch
# Along one axis, the weights of a pixel's outer two logits sum to -n, those of the inner two to 1 +
# n. Bicubic: n = 3/4 t (1 - t) at a place t between the inner two, so 3/16 at most; bilinear has no
# outer ones.
OVERSHOOT = {"bilinear": 0.0, "bicubic": 3 / 16}


@dataclass(frozen=True)
class Axis:
    """The pixels of one axis and their cells, the gaps between neighboring logits, and borders.

    Attributes:
        cell: (pixels,) the cell of each pixel, 0 to `source`.
        weights: (taps, pixels) float32, of the logits around each pixel's cell; they sum to one.
        first: (source + 1,) the first pixel of each cell.
        count: (source + 1,) pixels in each cell.
    """

    cell: np.ndarray
    weights: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @classmethod
    def build(cls, pixels: int, source: int, scale: float, upsampling: str) -> "Axis":
        """Place `pixels` on `source` logits with half-pixel centers; `scale` logits a pixel."""
        place = (np.arange(pixels) + 0.5) * scale - 0.5
        below = np.floor(place)
        cell = np.clip(below + 1, 0, source).astype(np.intp)
        first = np.searchsorted(cell, np.arange(source + 2))
        return cls(
            cell,
            interpolation_weights((place - below).astype(np.float32), TAPS[upsampling]),
            first[:-1],
            np.diff(first),
        )

    def block(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels of M cells: (n, M) indices and (taps, n, M) weights.

        A smaller cell's last pixel repeats.
        """
        step = np.minimum(
            np.arange(self.count[cells].max())[:, None], np.maximum(self.count[cells] - 1, 0)
        )
        pixels = np.minimum(self.first[cells] + step, len(self.cell) - 1)
        return pixels, self.weights.take(pixels, axis=1)

    def phases(self) -> tuple[np.ndarray, np.ndarray]:
        """Return each pixel's phase, its index within its cell, and the weights at each phase.

        Returns:
            (pixels,) phases, 0 to n - 1, and (taps - 1, n, cells) float32 weights of all but the
            first logit, or (taps - 1, n, 1) if they are the same in all cells.
        """
        most = int(self.count.max())
        phase = np.arange(len(self.cell)) - self.first[self.cell]
        # the first cell lacks its first pixels, the last one its last
        phase[: self.count[0]] += most - self.count[0]
        weights = np.zeros((len(self.weights) - 1, most, len(self.count)), np.float32)
        weights[:, phase, self.cell] = self.weights[1:]
        full = weights[:, :, self.count.argmax(), None]
        return phase, full if (full[:, phase, 0] == self.weights[1:]).all() else weights

    def matrix(self) -> np.ndarray:
        """Return the weight of each logit in each pixel, (pixels, source) float32: most are 0, and
        rows sum to one.
        """
        taps, source = len(self.weights), len(self.first) - 1
        matrix = np.zeros((len(self.cell), source), np.float32)
        pixels = np.arange(len(self.cell))
        for tap, weight in enumerate(self.weights):
            np.add.at(matrix, (pixels, np.clip(self.cell + tap - taps // 2, 0, source - 1)), weight)
        return matrix


def pad(logits: np.ndarray, upsampling: str) -> np.ndarray:
    """Repeat the borders of (K, h, w) logits, so that the logits around cell (y, x) start at [y,
    x].
    """
    reach = TAPS[upsampling] // 2
    return np.pad(logits, ((0, 0), (reach, reach), (reach, reach)), mode="edge")


def interpolation_weights(fraction: np.ndarray, taps: int) -> np.ndarray:
    """Return the (taps, ...) float32 weights of the logits around a point.

    Bicubic: Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. 15.

    Args:
        fraction: how far the point is from one of the middle two logits to the other, 0 to 1.
        taps: 2 for bilinear, 4 for bicubic.
    """
    if taps == 2:
        return np.stack([1 - fraction, fraction])
    distance = np.abs(fraction - np.arange(-1, 3, dtype=np.float32)[:, None])
    near = ((CUBIC_A + 2) * distance - (CUBIC_A + 3)) * distance**2 + 1
    far = CUBIC_A * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far).astype(np.float32)


def weighted_sum(
    values: np.ndarray, weights: np.ndarray, out: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the sum of values times weights, which sum to one, along the first axis.

    Args:
        values, weights: (taps, ...), whose further axes broadcast against each other.
        out: memory for the result, and for one term.
    """
    return weighted_sum_rows(values[0], values[1:] - values[0], weights[1:], out)


def weighted_sum_rows(
    first: np.ndarray,
    differences: Sequence[np.ndarray] | np.ndarray,
    weights: Sequence[np.ndarray] | np.ndarray,
    out: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return a weighted sum of values as the first value plus weighted differences to it.

    Equal values give exactly the same value.

    Args:
        first: the first value.
        differences, weights: of the other values; they broadcast against each other.
        out: memory for the result, and for one term.
    """
    total, term = out
    np.multiply(differences[0], weights[0], out=total)
    for difference, weight in zip(differences[1:], weights[1:], strict=True):
        np.multiply(difference, weight, out=term)
        np.add(total, term, out=total)
    np.add(total, first, out=total)
    return total
