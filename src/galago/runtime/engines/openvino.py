"""OpenVINO, the default engine: the fastest on x86, and there are wheels for ARM."""

import json
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from galago._core.atomic_io import cache_folder, sha256
from galago._core.device import processor
from galago._core.printable import printable
from galago.errors import ConfigError, ModelError, choose
from galago.runtime._compat import disable_openvino_telemetry
from galago.runtime.engines.base import check_threads, reason_of, running, watch_forks
from galago.runtime.engines.cache import key_of, load_compiled, store_compiled
from galago.runtime.engines.onnx_graph import unusual_operators
from galago.runtime.engines.trial import can_try, ensure_tried, parts

disable_openvino_telemetry()

import openvino  # noqa: E402
from openvino import frontend  # noqa: E402

PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
FAILURES = (
    RuntimeError,
    UnicodeDecodeError,  # its message holds bytes of the file
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
)


class OpenVINOEngine:
    """Runs an OpenVINO IR or an ONNX file with OpenVINO on the CPU, in the precision asked for and
    no other.

    Each thread that calls it has a request of its own, with its own memory for the output.
    """

    name = "openvino"
    input_size: tuple[int, int] | None = None

    def __init__(
        self, file: Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        """Read and compile the file.

        Args:
            file: the .xml file, with its weights beside it as .bin, or the .onnx file.
            threads: CPU threads (default: OpenVINO decides).
            precision: float32, bfloat16 or float16. OpenVINO would choose bfloat16 automatically on
                CPUs that have it.
        Raises:
            ConfigError: the precision is unknown or not one of this CPU, or threads is less than 1.
            ModelError: OpenVINO cannot read the file.
        """
        check_threads(threads, "OpenVINO")
        hint = choose(PRECISIONS, precision, "precision")
        if precision not in available_precisions():
            raise ConfigError(
                f"This CPU computes no {precision}, only {' and '.join(available_precisions())}. "
                "Leave --precision out."
            )
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._file = file
        self._compiled = _compile_file(file, settings)
        self._requests = threading.local()
        watch_forks(self)

    @property
    def _request(self) -> openvino.InferRequest:
        """The request of the calling thread; two threads in one would get each other's output."""
        try:
            return self._requests.own
        except AttributeError:
            self._requests.own = self._compiled.create_infer_request()
            return self._requests.own

    def after_fork(self) -> list[object]:
        """Keep the network and this thread's request alive: when freed, they wait for threads that
        do not exist in a child.
        """
        return [self._compiled, *vars(self._requests).values()]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one image: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
        logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        with running("OpenVINO", self._file, image, (RuntimeError, UnicodeDecodeError), _reason):
            request = self._request
            request.infer([image], share_inputs=True)
        logits: np.ndarray = request.get_output_tensor(0).data
        return logits


def package() -> ModuleType:
    """Return OpenVINO, which sends no telemetry once it was imported from here."""
    this: ModuleType = openvino
    return this


def only_core() -> openvino.Core:
    """Return the one Core of the process, which is never freed.

    On its first model it gives the thread another stack for signal handlers, and it unmaps that
    stack when it is freed, on whatever thread that happens (2026.4). The next signal to the first
    thread, such as Ctrl-C or the end of a child, would then kill the process.
    """
    with _ONE_AT_A_TIME:  # `cache` would let two threads make one each
        return _core()


_ONE_AT_A_TIME = threading.Lock()


@cache
def _core() -> openvino.Core:
    return openvino.Core()


def _compile_file(file: Path, settings: dict[str, Any]) -> openvino.CompiledModel:
    """Compile a model file, or load what an earlier start compiled from it with these settings.

    Raises:
        ModelError: OpenVINO cannot read or compile the file.
    """
    core = only_core()
    if missing := [part for part in parts(file) if not part.is_file()]:
        raise ModelError(
            f"{missing[0]} is missing. Copy the whole model folder again, or export it again."
        )
    try:
        sums = "".join(sha256(part) for part in parts(file))
        key = key_of(
            sums, openvino.get_version(), json.dumps(settings, sort_keys=True), processor()
        )
    except OSError as error:
        raise ModelError(f"Cannot read {file}: {error.strerror or error}.") from error
    if (stored := load_compiled(key)) is not None:
        with suppress(RuntimeError, UnicodeDecodeError):  # whatever it is, it can be compiled again
            return core.import_model(stored, "CPU", settings)
    try:
        compiled = core.compile_model(read_model(file), "CPU", settings)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"OpenVINO cannot compile {file}: {_reason(error)}. Export it again."
        ) from error
    if cache_folder():
        exported = compiled.export_model()
        # a stream in newer versions
        store_compiled(key, exported if isinstance(exported, bytes) else exported.getvalue())
    return compiled


def read_model(file: Path) -> openvino.Model:
    """Read a model file as the format that its suffix names.

    Without a format, OpenVINO tries every one, and each prints an error.

    Raises:
        ModelError: the file is missing, damaged or neither OpenVINO IR nor ONNX.
    """
    kind, name = ("ir", "OpenVINO IR") if file.suffix == ".xml" else ("onnx", "ONNX")
    unusual = _check_graph(file) if kind == "onnx" else ""
    try:
        reader = frontend.FrontEndManager().load_by_framework(kind)
        return reader.convert(reader.load(str(file)))
    except FAILURES as error:
        if unusual:
            raise ModelError(
                f"OpenVINO cannot convert {file}: it holds {unusual}, which galago does not write. "
                "Export it with "
                "`galago export`, or use --engine onnxruntime."
            ) from error
        raise ModelError(
            f"{file} is no whole {name} file. Copy it again, or export it again with `galago "
            "export`."
        ) from error


def _check_graph(file: Path) -> str:
    """Refuse an .onnx file with a broken graph, or on which OpenVINO would crash.

    Returns:
        the operators that galago does not write, if there are any.
    Raises:
        ModelError: it is such a file, or cannot be read.
    """
    unusual = ", ".join(unusual_operators(file))
    if unusual and not can_try():
        raise ModelError(
            f"{file} holds {unusual}, on which OpenVINO may crash. Use --engine onnxruntime."
        )
    ensure_tried(file, "openvino")
    return unusual


def available_precisions() -> tuple[str, ...]:
    """Return the precisions that this CPU computes in, float32 first."""
    capabilities = only_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    names = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}
    return tuple(
        name for name, short in names.items() if name == "float32" or short in capabilities
    )


def _reason(error: Exception) -> str:
    """Return the last line of OpenVINO's message."""
    if isinstance(error, UnicodeDecodeError):
        return reason_of(error)
    lines = str(error).strip().splitlines()
    return printable(lines[-1]).rstrip(".") if lines else type(error).__name__
