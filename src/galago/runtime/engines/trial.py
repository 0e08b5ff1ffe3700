"""Trials: open an unknown model file in a child process first, because engines may crash on it.

OpenVINO reads through null pointers where an operator cannot be converted (2026.4), ExecuTorch
trusts the offsets in its files, ncnn the counts. There is no way to tell such a file beforehand,
and a checksum in model.json only shows that nothing changed since it was written. So a file that
is unknown to this user's cache is opened and run once in a child process. Known are the bundled
models, what this galago exported, and what passed its trial.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from galago._core.atomic_io import sha256
from galago._core.device import processor
from galago.errors import ConfigError, MissingDependencyError, ModelError
from galago.runtime.engines.base import Engine
from galago.runtime.engines.cache import has_trial, key_of, record_trial
from galago.runtime.engines.onnx_graph import unusual_operators
from galago.runtime.onnx_metadata import onnx_input_size

LONGEST_SECONDS = 300
WINDOWS_CRASH = 0xC0000000  # exit codes from here on are exceptions that nothing caught
KILLED = -9  # by the system, because memory is short
SMALL = (64, 64)  # pixels; for files that take any size
ASSETS = Path(__file__).parents[2] / "assets"
PASSED, REFUSED = 0, 3  # exit codes
DISPLAY_NAMES = {  # for messages, where they differ
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "litert": "LiteRT",
    "executorch": "ExecuTorch",
}
CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
from galago.runtime.engines.table import ENGINES
from galago.runtime.engines.trial import try_here
engine, *given = json.loads(sys.argv[2])
try_here(ENGINES[engine].open, *given)
"""

_known: set[str] = set()  # keys of files that this process wrote, or that passed their trial in it


def can_try() -> bool:
    """Tell whether this process can start Python: not if it is packed into a single executable."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def parts(file: Path) -> tuple[Path, ...]:
    """Return a model file and its companion: .xml and .param keep their weights in a .bin."""
    return (file, file.with_suffix(".bin")) if file.suffix in (".xml", ".param") else (file,)


def trust(file: Path) -> None:
    """Skip the trial of a model file in this process."""
    _known.add(_key(_sums(file)))


def vouch(file: Path) -> None:
    """Skip the trial of a model file in all of this user's processes.

    For files that galago itself has just written.
    """
    trust(file)
    record_trial(_key(_sums(file)))


def ensure_tried(
    file: Path,
    engine: str,
    *,
    distribution: str = "",
    threads: int | None = None,
    precision: str = "float32",
) -> None:
    """Open a file in a child process first, unless it is known.

    An error that the engine itself reports is ignored here.

    Args:
        file: the one that the engine runs; a missing one is left to the engine.
        engine: its name.
        distribution: its name in a package index (default: `engine`); another version of it means
            another trial.
        threads, precision: those that the file will be opened with, so that the child compiles
            the model that is needed into the cache.
    Raises:
        ModelError: the child crashed or took minutes, or a part of the file cannot be read.
    """
    if not can_try() or not all(part.is_file() for part in parts(file)):
        return
    sums = _sums(file)
    key = _key(sums, engine, _version(distribution or engine), processor())
    keys = {key, _key(sums)}
    if keys & _known or _is_bundled(file.name, sums) or any(has_trial(each) for each in keys):
        return
    if _try_in_child(file, engine, threads, precision):
        _known.add(key)
        record_trial(key)


def try_here(
    open: Callable[[Path, int | None, str], Engine], file: str, threads: int | None, precision: str
) -> None:
    """Open a file with an engine, label one black image, and exit.

    The exit code says whether the engine accepted the file.
    """
    path = Path(file)
    trust(path)
    try:
        opened = open(path, threads, precision)
    except (ModelError, ConfigError, MissingDependencyError):
        os._exit(REFUSED)
    size = opened.input_size or (onnx_input_size(path) if path.suffix == ".onnx" else None) or SMALL
    with suppress(ModelError):  # it takes another size, but did not crash
        opened.run(np.zeros((1, *size, 3), np.uint8))
    os._exit(PASSED)


def _try_in_child(file: Path, engine: str, threads: int | None, precision: str) -> bool:
    """Return whether the engine accepted the file in a child process.

    Raises:
        ModelError: the child crashed, or did not finish.
    """
    given = json.dumps([engine, str(file), threads, precision])
    arguments = [sys.executable, "-c", CHILD, json.dumps(sys.path), given]
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            arguments, stdin=quiet, stdout=quiet, stderr=quiet, check=False, timeout=LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{DISPLAY_NAMES.get(engine, engine)} does not come to an end with {file}. Copy it "
            "again, or export it again with `galago export`."
        ) from error
    except OSError:  # nothing can be started here
        return False
    if done.returncode < 0 or done.returncode >= WINDOWS_CRASH:
        raise ModelError(_describe_crash(file, engine, done.returncode))
    return done.returncode == PASSED


def _describe_crash(file: Path, engine: str, code: int) -> str:
    """Say what crashed, and what to do.

    Raises:
        ModelError: an .onnx file's graph is broken, which says more.
    """
    cause, other = "it is damaged, or made for another version", ""
    if file.suffix == ".onnx":
        unusual = ", ".join(unusual_operators(file))
        if engine == "openvino":
            cause = f"it cannot convert {unusual or 'one of its operators'}"
            other = ", or use --engine onnxruntime"
    if code == KILLED:
        cause = "the system ended it, as it does when memory is short"
    return (
        f"{DISPLAY_NAMES.get(engine, engine)} crashes on {file}: {cause}. Copy it again, export it "
        f"again with `galago export`{other}."
    )


def _sums(file: Path) -> tuple[str, ...]:
    """Return the checksums of a model file's parts.

    Raises:
        ModelError: one of them cannot be read.
    """
    try:
        return tuple(sha256(part) for part in parts(file) if part.is_file())
    except OSError as error:
        raise ModelError(f"Cannot read {file}: {error.strerror or error}.") from error


def _key(sums: tuple[str, ...], *of: str) -> str:
    return key_of("trial", *sums, *of)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _is_bundled(name: str, sums: tuple[str, ...]) -> bool:
    """Tell whether a file belongs to a bundled model, which is tested before each release."""
    listed = (json.loads(spec.read_bytes())["files"] for spec in ASSETS.glob("*/model.json"))
    return any(sums == (files.get(name),) for files in listed)
