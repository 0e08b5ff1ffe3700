"""LiteRT (once TensorFlow Lite), for phones and boards; its files take one size of input."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import ModelError, require
from galago.runtime.engines.base import check_options, reading, running, watch_forks


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
            threads: CPU threads (default: LiteRT decides).
            precision: float32; others are refused.
        Raises:
            ConfigError: precision is not float32, or threads is less than 1.
            MissingDependencyError: LiteRT is not installed.
            ModelError: LiteRT cannot read the file.
        """
        check_options("LiteRT", threads, precision)
        require("ai_edge_litert", "litert")
        self._file = file
        self._threads = threads
        self._lock = threading.Lock()
        self._interpreter: Any = self._read()
        try:
            input_ = self._interpreter.get_input_details()[0]
            output = self._interpreter.get_output_details()[0]
            height, width = int(input_["shape"][1]), int(input_["shape"][2])
        except (IndexError, ValueError) as error:
            raise ModelError(
                f"{file} has no image as its input. Copy it again, or export it again."
            ) from error
        self.input_size: tuple[int, int] | None = (height, width)
        self._input, self._output = input_["index"], output["index"]
        watch_forks(self)

    def _read(self) -> Any:
        """Return a new interpreter of the file.

        Raises:
            ModelError: LiteRT cannot read the file.
        """
        interpreter = require("ai_edge_litert.interpreter", "litert").Interpreter
        with reading("LiteRT", self._file, (ValueError, RuntimeError)):
            made = interpreter(str(self._file), num_threads=self._threads)
            made.allocate_tensors()
        return made

    def after_fork(self) -> list[object]:
        """Have the file read again: the interpreter's threads do not exist in the child."""
        old, self._interpreter = self._interpreter, None
        self._lock = threading.Lock()
        return [old, getattr(old, "_interpreter", None)]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one image: (1, H, W, 3) uint8 RGB of `input_size` in, (1, K, H / 8, W
        / 8) float32 logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        with self._lock:  # an interpreter has one memory for input, output and intermediate results
            if self._interpreter is None:
                self._interpreter = self._read()
            with running("LiteRT", self._file, image, (ValueError, RuntimeError)):
                self._interpreter.set_tensor(self._input, image)
                self._interpreter.invoke()
                logits: np.ndarray = self._interpreter.get_tensor(self._output)
        return logits
