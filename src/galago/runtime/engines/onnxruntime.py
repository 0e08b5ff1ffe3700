"""ONNX Runtime, for hosts that have it already, and where OpenVINO has no wheel."""

from pathlib import Path

import numpy as np

from galago.errors import require
from galago.runtime._compat import onnxruntime_errors
from galago.runtime.engines.base import check_options, reading, reason_of, running, watch_forks

ONLY_FATAL = 4  # log level; errors are raised, and need not be printed as well


class ONNXRuntimeEngine:
    """Runs an ONNX file with ONNX Runtime on the CPU in float32."""

    name = "onnxruntime"
    input_size: tuple[int, int] | None = None

    def __init__(
        self, file: Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        """Read the file.

        Args:
            file: the .onnx file.
            threads: CPU threads (default: ONNX Runtime decides).
            precision: float32; others are refused.
        Raises:
            ConfigError: precision is not float32, or threads is less than 1.
            MissingDependencyError: ONNX Runtime is not installed.
            ModelError: ONNX Runtime cannot read the file.
        """
        check_options("ONNX Runtime", threads, precision)
        onnxruntime = require("onnxruntime", "onnxruntime")
        onnxruntime.disable_telemetry_events()  # on Windows they are on
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ONLY_FATAL
        # leave the cores to what comes after the network
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if threads:
            options.intra_op_num_threads = threads
        self._file = file
        self._errors = onnxruntime_errors()
        with reading("ONNX Runtime", file, self._errors, _reason):
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        self._input = self._session.get_inputs()[0].name
        watch_forks(self)

    def after_fork(self) -> list[object]:
        """Keep the session alive: when freed, it waits for threads that do not exist in a child."""
        return [self._session]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one image: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
        logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        with running("ONNX Runtime", self._file, image, self._errors, _reason):
            logits: np.ndarray = self._session.run(None, {self._input: image})[0]
        return logits


def _reason(error: Exception) -> str:
    """Return ONNX Runtime's message in one line, without error codes."""
    return reason_of(error).rpartition(" : ")[2]
