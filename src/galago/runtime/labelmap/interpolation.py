"""How pixels lie among logits, and what each pixel takes from them: half-pixel centers, borders
repeated, as in PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAPS = {"bilinear": 2, "bicubic": 4}  # logits that a pixel looks at along each axis
CUBIC_A = -0.75  # Keys' parameter, as in PyTorch
# Along one axis, the weights of a pixel's outer two logits sum to -n, those of the inner two to 1 +
# n. Bicubic: n = 3/4 t (1 - t) at a place t between the inner two, so 3/16 at most; bilinear has no
# outer ones.
OVERSHOOT = {"bilinear": 0.0, "bicubic": 3 / 16}


@dataclass(frozen=True)
class Axis:
    """Where the pixels of one axis lie among the cells, which are the gaps between neighboring
    logits, borders included.

    Attributes:
        cell: (pixels,) the cell of each pixel, 0 to `source`.
        shares: (taps, pixels) float32 weights of the logits around each pixel's cell, which sum to
            one.
        first: (source + 1,) the first pixel of each cell.
        count: (source + 1,) pixels in each cell.
    """

    cell: np.ndarray
    shares: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @classmethod
    def lay(cls, pixels: int, source: int, scale: float, upsampling: str) -> "Axis":
        """Lay `pixels` over `source` logits, `scale` logits to a pixel, with half-pixel centers."""
        place = (np.arange(pixels) + 0.5) * scale - 0.5
        below = np.floor(place)
        cell = np.clip(below + 1, 0, source).astype(np.intp)
        first = np.searchsorted(cell, np.arange(source + 2))
        return cls(
            cell,
            weights((place - below).astype(np.float32), TAPS[upsampling]),
            first[:-1],
            np.diff(first),
        )

    def block(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels of M cells: (n, M) indices and (taps, n, M) shares.

        A smaller cell's last pixel repeats.
        """
        step = np.minimum(
            np.arange(self.count[cells].max())[:, None], np.maximum(self.count[cells] - 1, 0)
        )
        pixels = np.minimum(self.first[cells] + step, len(self.cell) - 1)
        return pixels, self.shares.take(pixels, axis=1)

    def phases(self) -> tuple[np.ndarray, np.ndarray]:
        """Return each pixel's place within its cell, (pixels,), and the shares of all but the first
        logit at each place.

        Returns:
            Places 0 to n - 1, and (taps - 1, n, cells) float32 shares, or (taps - 1, n, 1) if they
            are the same in all cells.
        """
        most = int(self.count.max())
        place = np.arange(len(self.cell)) - self.first[self.cell]
        place[: self.count[0]] += (
            most - self.count[0]
        )  # the first cell lacks its first pixels, the last one its last
        shares = np.zeros((len(self.shares) - 1, most, len(self.count)), np.float32)
        shares[:, place, self.cell] = self.shares[1:]
        full = shares[:, :, self.count.argmax(), None]
        return place, full if (full[:, place, 0] == self.shares[1:]).all() else shares

    def matrix(self) -> np.ndarray:
        """Return the weight of each logit in each pixel, (pixels, source) float32: most are 0, and
        rows sum to one.
        """
        taps, source = len(self.shares), len(self.first) - 1
        weight = np.zeros((len(self.cell), source), np.float32)
        pixels = np.arange(len(self.cell))
        for tap, share in enumerate(self.shares):
            np.add.at(weight, (pixels, np.clip(self.cell + tap - taps // 2, 0, source - 1)), share)
        return weight


def pad(logits: np.ndarray, upsampling: str) -> np.ndarray:
    """Repeat the borders of (K, h, w) logits, so that the logits around cell (y, x) start at [y,
    x].
    """
    reach = TAPS[upsampling] // 2
    return np.pad(logits, ((0, 0), (reach, reach), (reach, reach)), mode="edge")


def weights(part: np.ndarray, taps: int) -> np.ndarray:
    """Return the (taps, ...) float32 weights of the logits around a place `part` of the way between
    the middle two.
    """
    if taps == 2:
        return np.stack([1 - part, part])
    distance = np.abs(part - np.arange(-1, 3, dtype=np.float32)[:, None])
    near = (
        (CUBIC_A + 2) * distance - (CUBIC_A + 3)
    ) * distance**2 + 1  # Keys, "Cubic convolution interpolation for
    far = CUBIC_A * (
        ((distance - 5) * distance + 8) * distance - 4
    )  # digital image processing", 1981, equation 15
    return np.where(distance <= 1, near, far).astype(np.float32)


def weighted_sum(
    values: np.ndarray, shares: np.ndarray, out: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the sum of values times shares, which sum to one, along the first axis.

    Args:
        values, shares: (taps, ...), whose further axes broadcast against each other.
        out: memory for the result, and for one term.
    """
    return weighted_sum_rows(values[0], values[1:] - values[0], shares[1:], out)


def weighted_sum_rows(
    first: np.ndarray,
    differences: Sequence[np.ndarray] | np.ndarray,
    shares: Sequence[np.ndarray] | np.ndarray,
    out: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the first of some values, and shares of the others' differences to it, added up: equal
    values stay what they are.

    Args:
        first: the first value.
        differences, shares: as many of each, that broadcast against each other.
        out: memory for the result, and for one term.
    """
    total, term = out
    np.multiply(differences[0], shares[0], out=total)
    for difference, share in zip(differences[1:], shares[1:], strict=True):
        np.multiply(difference, share, out=term)
        np.add(total, term, out=total)
    np.add(total, first, out=total)
    return total
