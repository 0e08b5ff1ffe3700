"""LiteRT (once TensorFlow Lite), for phones and boards; its files take one size of input."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import ModelError, require
from galago.runtime.engines.base import check_float32, check_threads, reason_of, watch_forks


class LiteRTEngine:
    """Runs a .tflite file with LiteRT on the CPU in float32; threads that call it take turns.

    Attributes:
        input_size: the one (height, width) in pixels that the file takes.
    """

    name = "litert"

    def __init__(
        self, file: Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        """Read the file.

        Args:
            file: the .tflite file.
            threads: CPU threads; LiteRT decides without it.
            precision: float32, and no other.
        Raises:
            ConfigError: another precision is asked for, or threads is less than 1.
            MissingDependencyError: LiteRT is not installed.
            ModelError: LiteRT cannot read the file.
        """
        check_threads(threads, "LiteRT")
        check_float32(precision, "LiteRT")
        require("ai_edge_litert", "litert")
        if not file.is_file():
            raise ModelError(f"{file} is missing. Copy it again, or export it again.")
        self._file, self._threads, self._lock = file, threads, threading.Lock()
        self._interpreter: Any = self._read()
        try:
            given, made = (
                self._interpreter.get_input_details()[0],
                self._interpreter.get_output_details()[0],
            )
            self.input_size: tuple[int, int] | None = (
                int(given["shape"][1]),
                int(given["shape"][2]),
            )
        except (IndexError, ValueError) as error:
            raise ModelError(
                f"{file} has no image as its input. Copy it again, or export it again."
            ) from error
        self._input, self._output = given["index"], made["index"]
        watch_forks(self)

    def _read(self) -> Any:
        """Return a new interpreter of the file.

        Raises:
            ModelError: LiteRT cannot read the file.
        """
        interpreter = require("ai_edge_litert.interpreter", "litert").Interpreter
        try:
            made = interpreter(str(self._file), num_threads=self._threads)
            made.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"LiteRT cannot read {self._file}: {reason_of(error)}. Copy it again, or export it "
                "again."
            ) from error
        return made

    def after_fork(self) -> list[object]:
        """Read the file again before the next run: the interpreter's threads are not in the child."""
        old, self._interpreter, self._lock = self._interpreter, None, threading.Lock()
        return [old, getattr(old, "_interpreter", None)]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one photo: (1, H, W, 3) uint8 RGB of `input_size` in, (1, K, H / 8, W
        / 8) float32 logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        with self._lock:  # one interpreter has one memory for input, output and what lies between
            if self._interpreter is None:
                self._interpreter = self._read()
            try:
                self._interpreter.set_tensor(self._input, image)
                self._interpreter.invoke()
                logits: np.ndarray = self._interpreter.get_tensor(self._output)
            except (ValueError, RuntimeError) as error:
                given = f"input of shape {image.shape}, dtype {image.dtype}"
                raise ModelError(
                    f"LiteRT cannot run {self._file} on {given}: {reason_of(error)}."
                ) from error
        return logits
