"""ExecuTorch, PyTorch's runtime for phones; its files take one size of input."""

import contextlib
import io
import threading
from pathlib import Path

import numpy as np

from galago.errors import ModelError, require
from galago.runtime._compat import executorch_bindings
from galago.runtime.engines.base import (
    check_options,
    describe_input,
    reading,
    reason_of,
    running,
    watch_forks,
)

METHOD = "forward"


class ExecuTorchEngine:
    """Runs a .pte file with ExecuTorch on the CPU in float32; threads that call it take turns.

    The runtime refuses a file that is cut short, but bytes that were changed can end the process:
    `galago.load` compares checksums, and has a process of its own try the file first.

    Attributes:
        input_size: the one (height, width) in pixels that the file takes.
    """

    name = "executorch"

    def __init__(
        self, file: Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        """Read the file.

        Args:
            file: the .pte file.
            threads: CPU threads, of all ExecuTorch programs in this process (default: ExecuTorch
                decides).
            precision: float32; others are refused.
        Raises:
            ConfigError: precision is not float32, or threads is less than 1.
            MissingDependencyError: ExecuTorch or torch is not installed.
            ModelError: ExecuTorch cannot read the file.
        """
        check_options("ExecuTorch", threads, precision)
        self._torch = require("torch", "executorch")  # first: the runtime needs its libraries
        require("executorch", "executorch")
        runtime = executorch_bindings()
        log = io.StringIO()
        errors = (RuntimeError, IndexError, UnicodeDecodeError)
        with (
            reading("ExecuTorch", file, errors, lambda error: _reason(error, log.getvalue())),
            contextlib.redirect_stderr(log),
        ):
            if threads and threads != runtime._threadpool_get_thread_count():
                runtime._unsafe_reset_threadpool(threads)  # unsafe only while a program runs
            self._program = runtime._load_for_executorch(str(file))
            shape = self._program.method_meta(METHOD).input_tensor_meta(0).sizes()
        self._file = file
        self._lock = threading.Lock()
        watch_forks(self)
        self.input_size: tuple[int, int] | None = (int(shape[1]), int(shape[2]))

    def after_fork(self) -> list[object]:
        """Replace the lock, which another thread may hold; ExecuTorch makes new threads itself."""
        self._lock = threading.Lock()
        return [self._program]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one image: (1, H, W, 3) uint8 RGB of `input_size` in, (1, K, H / 8, W
        / 8) float32 logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        expected = (1, *(self.input_size or ()), 3)
        if image.shape != expected or image.dtype != np.uint8:
            raise ModelError(
                f"ExecuTorch cannot run {self._file} on {describe_input(image)}: it takes "
                f"{expected} uint8."
            )
        with (
            running("ExecuTorch", self._file, image, (RuntimeError, UnicodeDecodeError), _reason),
            self._lock,  # a program has one memory for intermediate results
        ):
            tensor = self._torch.from_numpy(np.ascontiguousarray(image))
            logits: np.ndarray = self._program.forward([tensor])[0].numpy()
        return logits


def _reason(error: Exception, log: str = "") -> str:
    """Return ExecuTorch's message in one line.

    It logs a cause as `[file.cpp:line] cause` and raises a number.
    """
    cause = log.strip().rpartition("\n")[2].partition("] ")[2]
    return reason_of(RuntimeError(cause)) if cause else reason_of(error)
