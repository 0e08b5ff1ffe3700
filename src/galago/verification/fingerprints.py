"""Stages of a network on its golden photo: small fingerprints of intermediate maps, to name the
first one that differs.

A file's tensors have no names that survive conversion, so each stage is looked for among all
tensors of its shape.
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

GRID = (4, 6)  # rows and columns of the means that stand for a map
INPUT, LOGITS = "input", "head.classify"
MAX_BYTES = 64 << 20  # of stages.npz unpacked; those of l2 have 0.8 MB
DAMAGES = (  # what reading a damaged .npy, .npz or .png raises
    OSError, ValueError, KeyError, IndexError, TypeError, EOFError, MemoryError, OverflowError,
    NotImplementedError, RuntimeError, SyntaxError, tokenize.TokenError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
JUMP = 8  # times the error of all stages before, from which on a stage differs
EXPLAINED = 1e-2  # relative error below which a guess about the cause counts as right
Norm = tuple[Sequence[float], Sequence[float]]  # mean and std


@dataclass(frozen=True, eq=False)
class Stage:
    """One intermediate map of the reference.

    Attributes:
        name: of the module that gives it, or `input`.
        shape: (C, H, W).
        means: (C, rows, columns) float32, over the cells of a grid.
    """

    name: str
    shape: tuple[int, ...]
    means: np.ndarray

    @classmethod
    def of(cls, name: str, values: np.ndarray) -> "Stage":
        """Fingerprint a (C, H, W) map."""
        return cls(name, values.shape, pool(values))

    def check(self) -> None:
        """Refuse a fingerprint that no network has.

        Raises:
            ValueError: its name, its shape or its means are of another form.
        """
        _place(self.name)
        whole = len(self.shape) == 3 and all(
            isinstance(length, int) and 0 < length < 2**20 for length in self.shape
        )
        if not whole or self.means.shape != (self.shape[0], *map(min, self.shape[1:], GRID)):
            raise ValueError(
                f"stage {self.name!r} of shape {self.shape} has means of {self.means.shape}"
            )
        if self.means.dtype != np.float32 or not np.isfinite(self.means).all():
            raise ValueError(f"the means of stage {self.name!r} are no finite float32")

    def error(self, means: np.ndarray) -> float:
        """Return the relative L2 error of another fingerprint of this shape.

        Infinite where it is not finite.
        """
        if not np.isfinite(means).all():
            return float("inf")
        return float(np.linalg.norm(means - self.means) / (np.linalg.norm(self.means) or 1.0))


def pool(values: np.ndarray) -> np.ndarray:
    """Average a (C, H, W) map over the cells of a grid: (C, rows, columns) float32, at most `GRID`."""
    firsts = [
        np.unique(np.linspace(0, length, cells, endpoint=False).astype(int))
        for length, cells in zip(values.shape[1:], GRID, strict=True)
    ]
    sums = np.add.reduceat(
        np.add.reduceat(values.astype(np.float64), firsts[0], axis=1), firsts[1], axis=2
    )
    heights, widths = (
        np.diff([*first, length]) for first, length in zip(firsts, values.shape[1:], strict=True)
    )
    means: np.ndarray = (sums / (heights[:, None] * widths)).astype(np.float32)
    return means


def save_stages(path: Path, stages: Sequence[Stage]) -> None:
    """Write stages in order, as an .npz of two arrays each."""
    arrays: dict[str, Any] = {}
    for stage in stages:
        arrays[stage.name] = stage.means
        arrays[f"{stage.name}:shape"] = np.array(stage.shape)
    np.savez_compressed(path, **arrays)


def load_stages(path: Path) -> list[Stage]:
    """Read what `save_stages` wrote.

    Nothing where there is no such file, as in folders of an older galago.

    Raises:
        ModelError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with zipfile.ZipFile(path) as members:
            if sum(member.file_size for member in members.infolist()) > MAX_BYTES:
                raise ValueError("it unpacks to more than any network's stages")
        with np.load(path, allow_pickle=False) as arrays:
            names = [name for name in arrays.files if not name.endswith(":shape")]
            stages = [
                Stage(name, tuple(arrays[f"{name}:shape"].tolist()), arrays[name]) for name in names
            ]
        for stage in stages:
            stage.check()
    except DAMAGES as error:
        raise ModelError(
            f"{path} is damaged. Copy the model folder again, or export it again."
        ) from error
    return stages


def best_matches(stages: Sequence[Stage], tensors: Iterable[np.ndarray]) -> dict[str, float]:
    """Look for each stage among a file's tensors, each (C, H, W).

    Return the smallest relative error of each that has any.
    """
    errors: dict[str, float] = {}
    by_shape: dict[tuple[int, ...], list[Stage]] = {}
    for stage in stages:
        by_shape.setdefault(stage.shape, []).append(stage)
    for tensor in tensors:
        if tensor.shape in by_shape:
            means = pool(tensor)
            for stage in by_shape[tensor.shape]:
                errors[stage.name] = min(errors.get(stage.name, float("inf")), stage.error(means))
    return errors


def first_divergence(
    stages: Sequence[Stage], errors: Mapping[str, float], allowed: float
) -> str | None:
    """Return the first stage that differs, None where none does.

    A stage that differs while one that is made from it agrees is no cause: a converter has merged
    it into another. Where none differs by as much as is allowed, it is the one whose error jumps
    most above those of all stages before.
    """
    found = [stage.name for stage in stages if stage.name in errors]
    uniform_cells = [name for name in found if errors[name] <= allowed]
    for name in found:
        if errors[name] > allowed and not any(is_made_from(later, name) for later in uniform_cells):
            return name
    jumps = {}
    for name in found:
        before = [errors[other] for other in found if other != name and is_made_from(name, other)]
        jumps[name] = errors[name] / max(
            [*before, allowed / 10]
        )  # a tenth is what files that are right have
    largest = max(jumps, key=jumps.__getitem__, default=None)
    return largest if largest and jumps[largest] > JUMP and errors[largest] <= allowed else None


def is_made_from(stage: str, earlier: str) -> bool:
    """Tell whether a stage is computed from another one that comes before it or after it in order
    of computation.

    The backbone is a chain; branch k of the head starts at the backbone's stage 4 - k, and all
    branches end in head.middle.
    """
    (part, place), (other, before) = _place(stage), _place(earlier)
    if other == "backbone":
        return place > before if part == "backbone" else part == "end" or before[0] <= 4 - place[0]
    if other == "branch":
        return part == "end" or (
            part == "branch" and place[0] == before[0] and place[1] > before[1]
        )
    return part == "end" and place > before


def _place(stage: str) -> tuple[str, tuple[int, ...]]:
    """Return the part of the network that a stage belongs to, and its place there."""
    words = stage.split(".")
    if stage == INPUT:
        return "backbone", (-1,)
    if words[0] == "backbone":  # an attention ends before the block that it is part of
        return "backbone", (int(words[2]), int(words[3]), int(len(words) == 4))
    if words[1] in ("inputs", "upsample"):
        return "branch", (int(words[2]), int(words[1] == "upsample"))
    return "end", (("middle", "expand", "classify").index(words[1]), *map(int, words[2:]))


def explain_input(
    stage: Stage, tensors: Sequence[np.ndarray], norm: Norm | None = None
) -> str | None:
    """Say what happened to the normalized photo, if one of the usual mistakes explains it.

    Args:
        stage: the photo as the network should get it.
        tensors: maps of the file in order of computation, (C, H, W) each.
        norm: mean and std on a scale of 0 to 1.
    """
    for tensor in reversed(
        tensors
    ):  # the last one is what the network gets, the first the image as it came
        if tensor.shape != stage.shape:
            continue
        means = pool(tensor)
        if stage.error(means[::-1]) < EXPLAINED:
            return "the color channels are swapped (BGR for RGB)"
        if norm and any(
            stage.error(means * std + mean) < EXPLAINED for mean, std in _columns(norm)
        ):
            return "the image is normalized twice"
        if norm and stage.error(_normalized(means, norm)) < EXPLAINED:
            return "the image is not normalized"
        if _affine_error(stage.means, means) < EXPLAINED:
            return "mean or std of the normalization are others"
        if _affine_error(stage.means, means[::-1]) < EXPLAINED:
            return "the color channels are swapped (BGR for RGB) before the normalization"
    return None


def late_input(stage: Stage, tensors: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Return the last map of the photo's shape, in a list, if it is not the photo as the network
    should get it.

    The right one can come before it: when a photo is normalized twice, the first time is right.
    """
    last = None
    for tensor in tensors:
        if tensor.shape == stage.shape:
            last = tensor
    return [last] if last is not None and not stage.error(pool(last)) < EXPLAINED else []


def _columns(norm: Norm) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield mean and std as (3, 1, 1), on a scale of 0 to 1 and of 0 to 255."""
    for scale in (1, 255):
        mean, std = (scale * np.array(values, np.float32).reshape(-1, 1, 1) for values in norm)
        yield mean, std


def _normalized(means: np.ndarray, norm: Norm) -> np.ndarray:
    """Normalize values on a scale of 0 to 255."""
    mean, std = list(_columns(norm))[1]
    normalized: np.ndarray = (means - mean) / std
    return normalized


def _affine_error(expected: np.ndarray, given: np.ndarray) -> float:
    """Return what is left of each channel's error once the best factor and offset are taken out."""
    left = 0.0
    for x, y in zip(
        given.reshape(len(given), -1), expected.reshape(len(expected), -1), strict=True
    ):
        matrix = np.stack([x, np.ones_like(x)], axis=1)
        left += float(np.square(matrix @ np.linalg.lstsq(matrix, y, rcond=None)[0] - y).sum())
    return float(np.sqrt(left) / (np.linalg.norm(expected) or 1.0))


def explain_logits(expected: np.ndarray, given: np.ndarray) -> list[int] | None:
    """Return for each class the channel of the file that holds it, where nothing but their order
    differs.
    """
    flat, other = (
        values.reshape(len(values), -1).astype(np.float64) for values in (expected, given)
    )
    distance = (flat**2).sum(1)[:, None] - 2 * flat @ other.T + (other**2).sum(1)
    order = distance.argmin(axis=1)
    if len(set(order.tolist())) < len(order) or (order == np.arange(len(order))).all():
        return None
    explained = np.linalg.norm(other[order] - flat) / (np.linalg.norm(flat) or 1.0) < EXPLAINED
    return order.tolist() if explained else None
