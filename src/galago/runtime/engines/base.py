"""Engine: the interface of everything that runs model files, and helpers that all of them share."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

import numpy as np

from galago._core.printable import printable
from galago.errors import ConfigError, ModelError, choose

LONGEST_REASON = 300  # characters of an engine's own message


class Engine(Protocol):
    """Runs one model file; several threads may do so at once.

    Attributes:
        name: as the user types it.
        input_size: the fixed (height, width) in pixels that the file declares; None where it takes
            any multiples of 32, or where only the model's description tells.
    """

    name: str
    input_size: tuple[int, int] | None

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one image.

        Args:
            image: (1, H, W, 3) uint8 RGB, H and W multiples of 32.
        Returns:
            (1, K, H / stride, W / stride) float32 logits, or (1, H, W) uint8 labels where the file
            gives those; valid until the next call from the same thread.
        """


class _Forkable(Protocol):
    """An engine with state that a forked child does not inherit, such as threads."""

    def after_fork(self) -> list[object]:
        """Prepare for use in the child, without work; return what must never be freed there.

        An object with threads waits for them when it is freed, and a child has none of them.
        """


_open: WeakSet[_Forkable] = WeakSet()


def watch_forks(engine: _Forkable) -> None:
    """Call an engine's `after_fork` in each child that is forked while the engine exists."""
    _open.add(engine)


def _prepare_child() -> None:
    for engine in list(_open):
        for native in engine.after_fork():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_prepare_child)


def reason_of(error: BaseException) -> str:
    """Return an engine's message in one printable line.

    If it holds bytes of the file, Python raises UnicodeDecodeError instead, which carries them.
    """
    text = (
        error.object.decode(errors="replace")
        if isinstance(error, UnicodeDecodeError)
        else str(error)
    )
    return printable(" ".join(text.split())).rstrip(".")[:LONGEST_REASON]


@contextmanager
def reading(
    engine: str,
    file: Path,
    errors: tuple[type[Exception], ...],
    reason: Callable[[Exception], str] = reason_of,
) -> Iterator[None]:
    """Turn what an engine raises while it reads a file into a ModelError.

    Args:
        engine: its name in messages.
        file: the model file.
        errors: what the engine raises for files that it cannot use.
        reason: what such an error says, in one line.
    Raises:
        ModelError: the file is missing, or the engine cannot read it.
    """
    if not file.is_file():
        raise ModelError(f"{file} is missing. Copy it again, or export it again.")
    try:
        yield
    except errors as error:
        raise ModelError(
            f"{engine} cannot read {file}: {reason(error)}. Copy it again, or export it again."
        ) from error


@contextmanager
def running(
    engine: str,
    file: Path,
    image: np.ndarray,
    errors: tuple[type[Exception], ...],
    reason: Callable[[Exception], str] = reason_of,
) -> Iterator[None]:
    """Turn what an engine raises while it runs into a ModelError.

    Args:
        engine: its name in messages.
        file: the model file.
        image: the input.
        errors: what the engine raises for input that it cannot use, or where memory is short.
        reason: what such an error says, in one line.
    Raises:
        ModelError: the engine cannot run the file on the image.
    """
    try:
        yield
    except errors as error:
        raise ModelError(
            f"{engine} cannot run {file} on {describe_input(image)}: {reason(error)}."
        ) from error


def describe_input(image: np.ndarray) -> str:
    """Return shape and dtype of an engine's input, in words."""
    return f"input of shape {image.shape}, dtype {image.dtype}"


def check_options(engine: str, threads: int | None, precision: str) -> None:
    """Refuse an invalid thread count, and any precision but float32.

    For engines that compute in the precision of their files.

    Args:
        engine: its name in messages.
        threads: CPU threads; None lets the engine decide.
        precision: what the user asked for.
    Raises:
        ConfigError: threads is less than 1, or precision is not float32.
    """
    check_threads(threads, engine)
    if precision in ("bfloat16", "float16"):
        raise ConfigError(
            f"{engine} computes in float32 only. Leave --precision out, or use --engine openvino."
        )
    choose({"float32": None}, precision, "precision")


def check_threads(threads: int | None, engine: str) -> None:
    """Refuse an invalid thread count.

    Raises:
        ConfigError: it is less than 1.
    """
    if threads is not None and threads < 1:
        raise ConfigError(
            f"Expected 1 or more threads, got {threads}. Leave it out to let {engine} decide."
        )
