"""torch, for comparison: the exported program as torch itself runs it."""

import os
import warnings
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np

from galago.errors import ModelError, require
from galago.runtime.engines.base import check_float32, check_threads, reason_of

PROCESS = (
    os.getpid()
)  # in which torch may have started threads; a forked child waits for them without end

DAMAGED = (
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OSError,
)  # of torch, on damaged files


class TorchProgramEngine:
    """Runs a .pt2 file, a program of torch.export, with torch on the CPU in float32.

    Of free size, from 64 pixels a side.

    In a forked child torch computes on one thread, as those of the parent are not there.

    Such a file is a zip archive of graph and weights; unlike a pickled module it holds no code to
    execute.
    """

    name = "torch"
    input_size: tuple[int, int] | None = None

    def __init__(
        self, file: Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        """Read the file.

        Args:
            file: the .pt2 file.
            threads: CPU threads, of all of torch in this process; torch decides without it.
            precision: float32, and no other.
        Raises:
            ConfigError: another precision is asked for, or threads is less than 1.
            MissingDependencyError: torch is not installed.
            ModelError: torch cannot read the file.
        """
        check_threads(threads, "torch")
        check_float32(precision, "torch")
        self._torch = torch = require("torch", "train")
        if not file.is_file():
            raise ModelError(f"{file} is missing. Copy it again, or export it again.")
        if not zipfile.is_zipfile(file):  # torch would report it at length
            raise ModelError(
                f"torch cannot read {file}: no whole archive. Copy it again, or export it again."
            )
        if threads:
            torch.set_num_threads(threads)
        self._check_process()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch's own calls
                self._network = torch.export.load(str(file)).module()
        except (*DAMAGED, _verifier(torch).SpecViolationError) as error:
            raise ModelError(
                f"torch cannot read {file}: {reason_of(error)}. Copy it again, or export it again."
            ) from error
        self._file = file

    def _check_process(self) -> None:
        if os.getpid() != PROCESS and self._torch.get_num_threads() > 1:
            self._torch.set_num_threads(1)

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one photo: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
        logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        self._check_process()
        try:
            with self._torch.inference_mode():
                output: np.ndarray = self._network(self._torch.from_numpy(image)).numpy()
        except (RuntimeError, AssertionError) as error:
            given = f"input of shape {image.shape}, dtype {image.dtype}"
            raise ModelError(
                f"torch cannot run {self._file} on {given}: {reason_of(error)}."
            ) from error
        return output


def _verifier(torch: ModuleType) -> ModuleType:
    """Return the part of torch that checks programs, whose error is of no common class."""
    verifier: ModuleType = torch._export.verifier
    return verifier
