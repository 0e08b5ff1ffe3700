"""The engines that galago knows, and which of them are installed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from galago.errors import ConfigError, MissingDependencyError
from galago.runtime.engine import Engine

AUTO = "auto"


@dataclass(frozen=True)
class EngineKind:
    """One way to run a model file.

    Attributes:
        package: what has to be installed; its import name, too.
        install: the command that does it.
        open: file, threads and precision to a running engine; imports the package.
        precisions: those that this CPU computes in, float32 first; imports the package.
    """

    package: str
    install: str
    open: Callable[[Path, int | None, str], Engine]
    precisions: Callable[[], tuple[str, ...]]


def _open_openvino(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.openvino_engine import OpenVINOEngine

    return OpenVINOEngine(file, threads=threads, precision=precision)


def _openvino_precisions() -> tuple[str, ...]:
    from galago.runtime.openvino_engine import available_precisions

    return available_precisions()


def _open_onnxruntime(file: Path, threads: int | None, precision: str) -> Engine:
    from galago.runtime.onnxruntime_engine import ONNXRuntimeEngine

    return ONNXRuntimeEngine(file, threads=threads, precision=precision)


ENGINES = {  # fastest first, as `galago bench` finds on x86
    "openvino": EngineKind("openvino", "pip install openvino", _open_openvino, _openvino_precisions),
    "onnxruntime": EngineKind("onnxruntime", "pip install 'galago[onnxruntime]'", _open_onnxruntime, lambda: ("float32",)),
}


def installed_engines() -> list[str]:
    """Return the names of the engines that are installed, fastest first; imports none of them."""
    return [name for name, kind in ENGINES.items() if find_spec(kind.package)]


def choose_engine(name: str) -> str:
    """Return the engine to use: the one named, or for `auto` the fastest that is installed.

    Raises:
        ConfigError: there is no engine of that name.
        MissingDependencyError: it is not installed.
    """
    if name != AUTO and name not in ENGINES:
        raise ConfigError(f"Unknown engine {name!r}. Choose one of: {', '.join([AUTO, *ENGINES])}.")
    installed = installed_engines()
    if name == AUTO and not installed:
        raise MissingDependencyError(f"No engine is installed. Run: {' or: '.join(kind.install for kind in ENGINES.values())}")
    if name != AUTO and name not in installed:
        raise MissingDependencyError(f"{name} is missing. Run: {ENGINES[name].install}")
    return installed[0] if name == AUTO else name


def open_engine(file: Path, name: str = AUTO, *, threads: int | None = None, precision: str = "float32") -> Engine:
    """Open a model file with an engine.

    Args:
        file: the .onnx file.
        name: of the engine, or `auto`.
        threads: CPU threads; the engine decides without it.
        precision: float32, or bfloat16 where the engine has it.
    Raises:
        ConfigError: the engine or the precision is unknown, or threads is less than 1.
        MissingDependencyError: the engine is not installed.
        ModelError: the engine cannot read the file.
    """
    return ENGINES[choose_engine(name)].open(file, threads, precision)
