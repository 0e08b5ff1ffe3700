"""LiteRT (once TensorFlow Lite), for phones and boards; its files take one size of input."""

from pathlib import Path

import numpy as np

from galago.errors import ModelError, require
from galago.runtime.engine import check_float32, check_threads


class LiteRTEngine:
    """Runs a .tflite file with LiteRT on the CPU in float32.

    Attributes:
        input_size: the one (height, width) in pixels that the file takes.
    """

    name = "litert"

    def __init__(self, file: Path, *, threads: int | None = None, precision: str = "float32") -> None:
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
        interpreter = require("ai_edge_litert.interpreter", "litert").Interpreter
        if not file.is_file():
            raise ModelError(f"{file} is missing. Copy it again, or export it again.")
        try:
            self._interpreter = interpreter(str(file), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot read {file}: {_reason(error)}. Copy it again, or export it again.") from error
        given, made = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        self._file, self._input, self._output = file, given["index"], made["index"]
        self.input_size: tuple[int, int] | None = (int(given["shape"][1]), int(given["shape"][2]))

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one photo: (1, H, W, 3) uint8 RGB of `input_size` in, (1, K, H / 8, W / 8) float32 logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        try:
            self._interpreter.set_tensor(self._input, image)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            given = f"input of shape {image.shape}, dtype {image.dtype}"
            raise ModelError(f"LiteRT cannot run {self._file} on {given}: {_reason(error)}.") from error
        logits: np.ndarray = self._interpreter.get_tensor(self._output)
        return logits


def _reason(error: Exception) -> str:
    """Return what LiteRT says, in one line."""
    return " ".join(str(error).split()).rstrip(".")
