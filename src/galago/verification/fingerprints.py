"""Fingerprints of a network's intermediate maps on its golden image, to name the first layer that
differs.

A file's tensors have no names that survive conversion, so each layer is searched among all tensors
of its shape.
"""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import ModelError

GRID = (4, 6)  # rows and columns of the means that represent a map
INPUT = "input"
LOGITS = "head.classify"
MAX_BYTES = 64 << 20  # of stages.npz unpacked; those of l2 have 0.8 MB
# what reading a damaged .npy, .npz or .png raises
DAMAGES = (
    *(OSError, EOFError, MemoryError, OverflowError, NotImplementedError, RuntimeError),
    *(ValueError, KeyError, IndexError, TypeError, SyntaxError, tokenize.TokenError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
JUMP = 8  # times the error of all layers before, from which on a layer differs
EXPLAINED = 1e-2  # relative error below which a cause explains a difference
Norm = tuple[Sequence[float], Sequence[float]]  # mean and std


@dataclass(frozen=True, eq=False)
class LayerFingerprint:
    """The fingerprint of one intermediate map.

    Attributes:
        name: of the module whose output it is, or `input`.
        shape: (C, H, W).
        means: (C, rows, columns) float32, over the cells of a grid.
    """

    name: str
    shape: tuple[int, ...]
    means: np.ndarray

    @classmethod
    def of(cls, name: str, values: np.ndarray) -> "LayerFingerprint":
        """Fingerprint a (C, H, W) map."""
        return cls(name, values.shape, pool(values))

    def check(self) -> None:
        """Refuse a fingerprint that no network can have.

        Raises:
            ValueError: its name, its shape or its means are impossible.
        """
        _position(self.name)
        whole = len(self.shape) == 3 and all(
            isinstance(length, int) and 0 < length < 2**20 for length in self.shape
        )
        if not whole or self.means.shape != (self.shape[0], *map(min, self.shape[1:], GRID)):
            raise ValueError(
                f"layer {self.name!r} of shape {self.shape} has means of {self.means.shape}"
            )
        if self.means.dtype != np.float32 or not np.isfinite(self.means).all():
            raise ValueError(f"the means of layer {self.name!r} are not finite float32")

    def error(self, means: np.ndarray) -> float:
        """Return the relative L2 error of another fingerprint of this shape.

        Infinite where it is not finite.
        """
        if not np.isfinite(means).all():
            return float("inf")
        return float(np.linalg.norm(means - self.means) / (np.linalg.norm(self.means) or 1.0))


def pool(values: np.ndarray) -> np.ndarray:
    """Return the means of a (C, H, W) map over the cells of a grid: (C, rows, columns) float32, at
    most `GRID`.
    """
    rows = _cell_starts(values.shape[1], GRID[0])
    columns = _cell_starts(values.shape[2], GRID[1])
    sums = np.add.reduceat(values.astype(np.float64), rows, axis=1)
    sums = np.add.reduceat(sums, columns, axis=2)
    heights = np.diff([*rows, values.shape[1]])
    widths = np.diff([*columns, values.shape[2]])
    means: np.ndarray = (sums / (heights[:, None] * widths)).astype(np.float32)
    return means


def _cell_starts(length: int, cells: int) -> np.ndarray:
    """Return where at most `cells` cells of an axis start."""
    return np.unique(np.linspace(0, length, cells, endpoint=False).astype(int))


def save_fingerprints(path: Path, layers: Sequence[LayerFingerprint]) -> None:
    """Write fingerprints in order, in an .npz of two arrays each."""
    arrays: dict[str, Any] = {}
    for layer in layers:
        arrays[layer.name] = layer.means
        arrays[f"{layer.name}:shape"] = np.array(layer.shape)
    np.savez_compressed(path, **arrays)


def load_fingerprints(path: Path) -> list[LayerFingerprint]:
    """Return what `save_fingerprints` wrote; an empty list without such a file, which folders of an
    older galago lack.

    Raises:
        ModelError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with zipfile.ZipFile(path) as members:
            if sum(member.file_size for member in members.infolist()) > MAX_BYTES:
                raise ValueError("it unpacks to more than any network's layers")
        with np.load(path, allow_pickle=False) as arrays:
            names = [name for name in arrays.files if not name.endswith(":shape")]
            layers = [
                LayerFingerprint(name, tuple(arrays[f"{name}:shape"].tolist()), arrays[name])
                for name in names
            ]
        for layer in layers:
            layer.check()
    except DAMAGES as error:
        raise ModelError(
            f"{path} is damaged. Copy the model folder again, or export it again."
        ) from error
    return layers


def best_matches(
    layers: Sequence[LayerFingerprint], tensors: Iterable[np.ndarray]
) -> dict[str, float]:
    """Return for each layer the smallest relative error among the tensors of its shape.

    Args:
        layers: of the trained network.
        tensors: of a file, (C, H, W) each.
    """
    errors: dict[str, float] = {}
    by_shape: dict[tuple[int, ...], list[LayerFingerprint]] = {}
    for layer in layers:
        by_shape.setdefault(layer.shape, []).append(layer)
    for tensor in tensors:
        if tensor.shape in by_shape:
            means = pool(tensor)
            for layer in by_shape[tensor.shape]:
                errors[layer.name] = min(errors.get(layer.name, float("inf")), layer.error(means))
    return errors


def first_divergence(
    layers: Sequence[LayerFingerprint], errors: Mapping[str, float], allowed: float
) -> str | None:
    """Return the first layer that differs, None if none does.

    A layer that differs while one computed from it agrees is no cause: a converter has fused it
    into another. If no error is larger than allowed, it is the layer whose error jumps most above
    those of all layers before.
    """
    found = [layer.name for layer in layers if layer.name in errors]
    agreeing = [name for name in found if errors[name] <= allowed]
    for name in found:
        if errors[name] > allowed and not any(is_made_from(later, name) for later in agreeing):
            return name
    jumps = {}
    for name in found:
        before = [errors[other] for other in found if other != name and is_made_from(name, other)]
        # a tenth of what is allowed is the error of correct files
        jumps[name] = errors[name] / max([*before, allowed / 10])
    largest = max(jumps, key=jumps.__getitem__, default=None)
    return largest if largest and jumps[largest] > JUMP and errors[largest] <= allowed else None


def is_made_from(layer: str, earlier: str) -> bool:
    """Return whether a layer is computed from another one.

    The backbone is a chain; branch k of the head starts at the backbone's layer 4 - k, and all
    branches end in head.middle.
    """
    section, position = _position(layer)
    earlier_section, earlier_position = _position(earlier)
    if earlier_section == "backbone":
        if section == "backbone":
            return position > earlier_position
        return section == "end" or earlier_position[0] <= 4 - position[0]
    if earlier_section == "branch":
        same_branch = section == "branch" and position[0] == earlier_position[0]
        return section == "end" or (same_branch and position[1] > earlier_position[1])
    return section == "end" and position > earlier_position


def _position(layer: str) -> tuple[str, tuple[int, ...]]:
    """Return the section of the network that a layer belongs to, and its position there."""
    parts = layer.split(".")
    if layer == INPUT:
        return "backbone", (-1,)
    if parts[0] == "backbone":  # an attention ends before the block that contains it
        return "backbone", (int(parts[2]), int(parts[3]), int(len(parts) == 4))
    if parts[1] in ("inputs", "upsample"):
        return "branch", (int(parts[2]), int(parts[1] == "upsample"))
    return "end", (("middle", "expand", "classify").index(parts[1]), *map(int, parts[2:]))


def explain_input(
    layer: LayerFingerprint, tensors: Sequence[np.ndarray], norm: Norm | None = None
) -> str | None:
    """Return the usual mistake that explains what happened to the normalized image, if one does.

    Args:
        layer: the image that the network should get.
        tensors: maps of the file in order of computation, (C, H, W) each.
        norm: mean and std on a scale of 0 to 1.
    """
    # the last one is what the network gets, the first one the given image
    for tensor in reversed(tensors):
        if tensor.shape != layer.shape:
            continue
        means = pool(tensor)
        if layer.error(means[::-1]) < EXPLAINED:
            return "the color channels are swapped (BGR for RGB)"
        if norm and any(
            layer.error(means * std + mean) < EXPLAINED for mean, std in _columns(norm)
        ):
            return "the image is normalized twice"
        if norm and layer.error(_normalized(means, norm)) < EXPLAINED:
            return "the image is not normalized"
        if _affine_error(layer.means, means) < EXPLAINED:
            return "mean or std of the normalization are others"
        if _affine_error(layer.means, means[::-1]) < EXPLAINED:
            return "the color channels are swapped (BGR for RGB) before the normalization"
    return None


def late_input(layer: LayerFingerprint, tensors: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Return the last map of the image's shape, in a list, if it is not the image that the network
    should get.

    The right one can come before it: when a image is normalized twice, the first time is right.
    """
    last = None
    for tensor in tensors:
        if tensor.shape == layer.shape:
            last = tensor
    return [last] if last is not None and not layer.error(pool(last)) < EXPLAINED else []


def _columns(norm: Norm) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield mean and std as (3, 1, 1), on a scale of 0 to 1 and of 0 to 255."""
    mean = np.array(norm[0], np.float32).reshape(-1, 1, 1)
    std = np.array(norm[1], np.float32).reshape(-1, 1, 1)
    yield mean, std
    yield 255 * mean, 255 * std


def _normalized(means: np.ndarray, norm: Norm) -> np.ndarray:
    """Normalize values on a scale of 0 to 255."""
    mean, std = list(_columns(norm))[1]
    normalized: np.ndarray = (means - mean) / std
    return normalized


def _affine_error(expected: np.ndarray, given: np.ndarray) -> float:
    """Return the relative error that remains with the best factor and offset of each channel."""
    squares = 0.0
    for x, y in zip(
        given.reshape(len(given), -1), expected.reshape(len(expected), -1), strict=True
    ):
        matrix = np.stack([x, np.ones_like(x)], axis=1)
        squares += float(np.square(matrix @ np.linalg.lstsq(matrix, y, rcond=None)[0] - y).sum())
    return float(np.sqrt(squares) / (np.linalg.norm(expected) or 1.0))


def explain_logits(expected: np.ndarray, given: np.ndarray) -> list[int] | None:
    """Return for each class the channel of the file that holds it, if only their order differs."""
    flat = expected.reshape(len(expected), -1).astype(np.float64)
    other = given.reshape(len(given), -1).astype(np.float64)
    distance = (flat**2).sum(1)[:, None] - 2 * flat @ other.T + (other**2).sum(1)
    order = distance.argmin(axis=1)
    if len(set(order.tolist())) < len(order) or (order == np.arange(len(order))).all():
        return None
    explained = np.linalg.norm(other[order] - flat) / (np.linalg.norm(flat) or 1.0) < EXPLAINED
    return order.tolist() if explained else None
