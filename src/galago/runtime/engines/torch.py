"""torch, for comparison: the exported program as torch itself runs it."""

import os
import warnings
import zipfile
from pathlib import Path

import numpy as np

from galago.errors import require
from galago.runtime._compat import torch_program_error
from galago.runtime.engines.base import check_options, reading, running

# The process in which torch may have started threads; a forked child would wait for them forever.
PROCESS = os.getpid()

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

    Images may have any size from 64 pixels a side. In a forked child torch computes on one thread,
    because the parent's threads do not exist there.

    The file is a zip archive of graph and weights; unlike a pickled module it contains no code.
    """

    name = "torch"
    input_size: tuple[int, int] | None = None

    def __init__(
        self, file: Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        """Read the file.

        Args:
            file: the .pt2 file.
            threads: CPU threads, of all of torch in this process (default: torch decides).
            precision: float32; others are refused.
        Raises:
            ConfigError: precision is not float32, or threads is less than 1.
            MissingDependencyError: torch is not installed.
            ModelError: torch cannot read the file.
        """
        check_options("torch", threads, precision)
        self._torch = torch = require("torch", "train")
        self._file = file
        with (
            reading("torch", file, (*DAMAGED, torch_program_error(torch))),
            warnings.catch_warnings(),
        ):
            if not zipfile.is_zipfile(file):  # torch would report it at length
                raise ValueError("no whole archive")
            if threads:
                torch.set_num_threads(threads)
            self._check_process()
            warnings.simplefilter("ignore")  # of torch's own calls
            self._network = torch.export.load(str(file)).module()

    def _check_process(self) -> None:
        if os.getpid() != PROCESS and self._torch.get_num_threads() > 1:
            self._torch.set_num_threads(1)

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one image: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
        logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        self._check_process()
        with (
            running("torch", self._file, image, (RuntimeError, AssertionError)),
            self._torch.inference_mode(),
        ):
            logits: np.ndarray = self._network(self._torch.from_numpy(image)).numpy()
        return logits
