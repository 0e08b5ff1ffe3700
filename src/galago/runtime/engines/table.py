"""The table of engines, and the choice among those that are installed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from galago._core.utf8_path import is_utf8, not_utf8_message
from galago.errors import ConfigError, MissingDependencyError, ModelError, choose
from galago.runtime.engines.base import Engine
from galago.runtime.engines.trial import ensure_tried

AUTO = "auto"


@dataclass(frozen=True)
class EngineKind:
    """One way to run a model file.

    Attributes:
        package: what has to be installed: its import name.
        distribution: its name in a package index.
        files: the files of a model folder that it runs, the fastest first.
        install: the command that does it.
        open: file, threads and precision to a running engine; imports the package.
        precisions: those that this CPU computes in, float32 first; imports the package.
    """

    package: str
    distribution: str
    files: tuple[str, ...]
    install: str
    open: Callable[[Path, int | None, str], Engine]
    precisions: Callable[[], tuple[str, ...]]

    def select_file(self, files: Collection[str]) -> str | None:
        """Return the file that it would run, None if there is none for it."""
        return next((file for file in self.files if file in files), None)


def _open_openvino(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.engines.openvino import OpenVINOEngine

    return OpenVINOEngine(file, threads=threads, precision=precision)


def _openvino_precisions() -> tuple[str, ...]:
    from galago.runtime.engines.openvino import available_precisions

    return available_precisions()


def _open_onnxruntime(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.engines.onnxruntime import ONNXRuntimeEngine

    return ONNXRuntimeEngine(file, threads=threads, precision=precision)


def _open_ncnn(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.engines.ncnn import NCNNEngine

    return NCNNEngine(file, threads=threads, precision=precision)


def _open_litert(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.engines.litert import LiteRTEngine

    return LiteRTEngine(file, threads=threads, precision=precision)


def _open_executorch(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.engines.executorch import ExecuTorchEngine

    return ExecuTorchEngine(file, threads=threads, precision=precision)


def _open_torch(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.engines.torch import TorchProgramEngine

    return TorchProgramEngine(file, threads=threads, precision=precision)


def _float32() -> tuple[str, ...]:
    return ("float32",)


def _extra(
    package: str,
    distribution: str,
    file: str,
    extra: str,
    open: Callable[[Path, int | None, str], Engine],
) -> EngineKind:
    """Describe an engine that an extra of galago installs, and that computes in float32 only."""
    return EngineKind(
        package, distribution, (file,), f"pip install 'galago[{extra}]'", open, _float32
    )


# Fastest first, as benchmarks/engines.py finds on x86. LiteRT comes late because an image larger
# than its file loses detail, torch last because a folder that has other files has it for
# comparison.
ENGINES = {
    "openvino": EngineKind(
        "openvino",
        "openvino",
        ("model.xml", "model.onnx"),
        "pip install openvino",
        _open_openvino,
        _openvino_precisions,
    ),
    "onnxruntime": _extra(
        "onnxruntime", "onnxruntime", "model.onnx", "onnxruntime", _open_onnxruntime
    ),
    "ncnn": _extra("ncnn", "ncnn", "model.ncnn.param", "ncnn", _open_ncnn),
    "litert": _extra("ai_edge_litert", "ai-edge-litert", "model.tflite", "litert", _open_litert),
    "executorch": _extra("executorch", "executorch", "model.pte", "executorch", _open_executorch),
    "torch": _extra("torch", "torch", "model.pt2", "train", _open_torch),
}
FORMATS = {  # files that engines run, by the names of formats that `galago export` knows
    "model.onnx": "onnx",
    "model.xml": "openvino",
    "model.tflite": "litert",
    "model.ncnn.param": "ncnn",
    "model.pte": "executorch",
    "model.pt2": "torch",
}


def installed_engines(files: Collection[str]) -> list[str]:
    """Return the names of the engines that are installed and run one of some files, fastest first.

    Imports none of them.
    """
    return [
        name
        for name, kind in ENGINES.items()
        if kind.select_file(files) and find_spec(kind.package)
    ]


def choose_engine(name: str, files: Collection[str]) -> str:
    """Return the engine to use: the one named, or for `auto` the fastest that is installed.

    Args:
        name: of the engine, or `auto`.
        files: the names of the model's files.
    Raises:
        ConfigError: there is no engine of that name.
        MissingDependencyError: it is not installed.
        ModelError: the model has no file for it.
    """
    if name != AUTO and name not in ENGINES:
        raise ConfigError(f"Unknown engine {name!r}. Choose one of: {', '.join([AUTO, *ENGINES])}.")
    if name == AUTO:
        if installed := installed_engines(files):
            return installed[0]
        ways = " or: ".join(kind.install for kind in ENGINES.values() if kind.select_file(files))
        raise MissingDependencyError(f"No engine is installed. Run: {ways}")
    kind = ENGINES[name]
    if find_spec(kind.package) is None:
        raise MissingDependencyError(f"{name} is missing. Run: {kind.install}")
    if kind.select_file(files) is None:
        wanted = kind.files[0]
        formats = dict.fromkeys(("onnx", FORMATS[wanted]))
        raise ModelError(
            f"{name} runs {' or '.join(kind.files)}, which this model has not, only "
            f"{', '.join(sorted(files))}. "
            f"Run: galago export CHECKPOINT --out FOLDER --format {','.join(formats)}"
        )
    return name


def open_engine(
    file: Path, name: str, *, threads: int | None = None, precision: str = "float32"
) -> Engine:
    """Open a model file with an engine.

    One that this user's cache does not know is tried in a process of its own before.

    Args:
        file: the one that the engine runs.
        name: of the engine.
        threads: CPU threads (default: the engine decides).
        precision: float32, or bfloat16 or float16 where engine and CPU have it.
    Raises:
        ConfigError: the engine or the precision is unknown, or threads is less than 1.
        MissingDependencyError: the engine is not installed.
        ModelError: the engine cannot read the file or crashes on it, or takes no name that is no
            UTF-8.
    """
    kind = choose(ENGINES, name, "engine")
    if name != "openvino" and not is_utf8(file):
        raise ModelError(not_utf8_message(file, kind.distribution))
    if find_spec(kind.package):
        ensure_tried(
            file, name, distribution=kind.distribution, threads=threads, precision=precision
        )
    return kind.open(file, threads, precision)
