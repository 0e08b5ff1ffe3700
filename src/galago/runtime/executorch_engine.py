"""ExecuTorch, PyTorch's runtime for phones; its files take one size of input."""

import warnings
from pathlib import Path

import numpy as np

from galago.errors import ConfigError, ModelError, require
from galago.runtime.engine import check_float32, check_threads

HEADER = slice(4, 8)  # where a program says what it is
MAGIC = b"ET12"


class ExecuTorchEngine:
    """Runs a .pte file with ExecuTorch on the CPU in float32.

    Attributes:
        input_size: the one (height, width) in pixels that the file takes.
    """

    name = "executorch"

    def __init__(self, file: Path, *, threads: int | None = None, precision: str = "float32") -> None:
        """Read the file.

        Args:
            file: the .pte file.
            threads: not to be had: ExecuTorch takes all cores.
            precision: float32, and no other.
        Raises:
            ConfigError: another precision, or a number of threads, is asked for.
            MissingDependencyError: ExecuTorch is not installed.
            ModelError: ExecuTorch cannot read the file.
        """
        check_threads(threads, "ExecuTorch")
        check_float32(precision, "ExecuTorch")
        if threads is not None:
            raise ConfigError("ExecuTorch takes no number of threads from Python. Leave --threads out.")
        self._torch = require("torch", "executorch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its interface may change
            runtime = require("executorch.runtime", "executorch")
        if not file.is_file():
            raise ModelError(f"{file} is missing. Copy it again, or export it again.")
        try:
            if file.read_bytes()[HEADER] != MAGIC:  # the runtime aborts on some files
                raise RuntimeError("it is no program")
            self._program = runtime.Runtime.get().load_program(file)
            self._method = self._program.load_method("forward")
            self._file, shape = file, self._method.metadata.input_tensor_meta(0).sizes()
        except RuntimeError as error:
            raise ModelError(f"ExecuTorch cannot read {file}: {_reason(error)}. Copy it again, or export it again.") from error
        self.input_size: tuple[int, int] | None = (int(shape[1]), int(shape[2]))

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one photo: (1, H, W, 3) uint8 RGB of `input_size` in, (1, K, H / 8, W / 8) float32 logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        given = f"input of shape {image.shape}, dtype {image.dtype}"
        if image.shape != (1, *(self.input_size or ()), 3) or image.dtype != np.uint8:
            raise ModelError(f"ExecuTorch cannot run {self._file} on {given}: it takes (1, *{self.input_size}, 3) uint8.")
        try:
            logits: np.ndarray = self._method.execute([self._torch.from_numpy(image)])[0].numpy()
        except RuntimeError as error:
            raise ModelError(f"ExecuTorch cannot run {self._file} on {given}: {_reason(error)}.") from error
        return logits


def _reason(error: Exception) -> str:
    """Return what ExecuTorch says, in one line."""
    return " ".join(str(error).split()).rstrip(".")[:300]
