"""ONNX Runtime, for hosts that have it already, and where OpenVINO has no wheel."""

from pathlib import Path

import numpy as np

from galago.errors import ModelError, require
from galago.runtime.engines.base import check_float32, check_threads, reason_of, watch_forks

ERRORS = (
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NoSuchFile",
    "NotImplemented",
    "RuntimeException",
)
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
            threads: CPU threads; ONNX Runtime decides without it.
            precision: float32, and no other.
        Raises:
            ConfigError: another precision is asked for, or threads is less than 1.
            MissingDependencyError: ONNX Runtime is not installed.
            ModelError: ONNX Runtime cannot read the file.
        """
        check_threads(threads, "ONNX Runtime")
        check_float32(precision, "ONNX Runtime")
        onnxruntime = require("onnxruntime", "onnxruntime")
        onnxruntime.disable_telemetry_events()  # on Windows they are on
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ONLY_FATAL
        options.add_session_config_entry(
            "session.force_spinning_stop", "1"
        )  # leave the cores to what comes after the network
        if threads:
            options.intra_op_num_threads = threads
        self._file, self._errors = file, _errors()
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except self._errors as error:
            raise ModelError(
                f"ONNX Runtime cannot read {file}: {_reason(error)}. Copy it again, or export it "
                "again."
            ) from error
        self._input = self._session.get_inputs()[0].name
        watch_forks(self)

    def after_fork(self) -> list[object]:
        """Keep the session alive: given up, it waits for threads that a child has not."""
        return [self._session]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one photo: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
        logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        try:
            logits: np.ndarray = self._session.run(None, {self._input: image})[0]
        except self._errors as error:
            given = f"input of shape {image.shape}, dtype {image.dtype}"
            raise ModelError(
                f"ONNX Runtime cannot run {self._file} on {given}: {_reason(error)}."
            ) from error
        return logits


def _errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises for files and inputs that it cannot use.

    The classes have no common base.
    """
    state = require("onnxruntime.capi.onnxruntime_pybind11_state", "onnxruntime")
    return (
        UnicodeDecodeError,
        *(getattr(state, name) for name in ERRORS),
    )  # its message may hold bytes of the file


def _reason(error: Exception) -> str:
    """Return what ONNX Runtime says, in one line, without its error codes."""
    return reason_of(error).rpartition(" : ")[2]
