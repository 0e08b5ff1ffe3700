"""What the runtime borrows from inside other packages, in one place, because an update may move it.

Each function names the version that it was tried with; the tests of the engines fail when one of
them breaks.
"""

import sys
from types import ModuleType

from galago.errors import require

# The names of what ONNX Runtime raises for files and inputs that it cannot use.
_ONNXRUNTIME_ERRORS = (
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NoSuchFile",
    "NotImplemented",
    "RuntimeException",
)


def disable_openvino_telemetry() -> None:
    """Keep OpenVINO from sending telemetry; to be called before it is imported.

    On import it writes an id into the home folder and starts a thread that sends data. Where this
    module cannot be imported, it takes its own silent stand-in instead
    (openvino/tools/ovc/utils.py, 2026.4).
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def executorch_bindings() -> ModuleType:
    """Return the bindings of ExecuTorch's runtime (1.5).

    The public `executorch.runtime` imports the converters as well, which takes seconds and sets an
    environment variable.

    Raises:
        MissingDependencyError: ExecuTorch is not installed.
    """
    return require("executorch.extension.pybindings._C", "executorch")


def onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime (1.32) raises for files and inputs that it cannot use.

    The classes are not exported and have no common base. A message may hold bytes of the file,
    which raises UnicodeDecodeError instead.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
    """
    state = require("onnxruntime.capi.onnxruntime_pybind11_state", "onnxruntime")
    return (UnicodeDecodeError, *(getattr(state, name) for name in _ONNXRUNTIME_ERRORS))


def torch_program_error(torch: ModuleType) -> type[Exception]:
    """Return what torch (2.13) raises for an exported program that breaks its own rules."""
    error: type[Exception] = torch._export.verifier.SpecViolationError
    return error
