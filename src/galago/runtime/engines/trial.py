"""Open a model file in a process of its own first: engines may crash on a damaged one, and take this process with them.

OpenVINO reads through null pointers where an operator cannot be converted, LiteRT and ExecuTorch believe offsets in their files,
ncnn counts in its own. Nothing tells before which file it will be, and a checksum in model.json only tells that nothing changed
since whoever wrote it. So a file that this user's cache does not know is opened and run once in a child process. Known are the
bundled models, what this galago exported, and what passed its trial.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from galago._core.atomic_io import sha256
from galago._core.device import processor
from galago.errors import ConfigError, MissingDependencyError, ModelError
from galago.runtime.engines.cache import is_noted, key_of, note
from galago.runtime.engines.onnx_graph import unusual_operators
from galago.runtime.onnx_metadata import onnx_input_size

LONGEST_SECONDS = 300
WINDOWS_CRASH = 0xC0000000  # exit codes from here on are exceptions that nothing caught
KILLED = -9  # by the system, for want of memory
SMALL = (64, 64)  # pixels; for files that take any size
ASSETS = Path(__file__).parents[2] / "assets"
PASSED, REFUSED = 0, 3  # exit codes
NAMES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "litert": "LiteRT", "executorch": "ExecuTorch"}  # where they differ
CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
from galago.runtime.engines.trial import try_here
try_here(*json.loads(sys.argv[2]))
"""

_known: set[str] = set()  # keys of files that were written by this process, or passed their trial in it


def can_try() -> bool:
    """Tell whether this process can start Python: not where it is part of a program that was packed into one file."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def parts(file: Path) -> tuple[Path, ...]:
    """Return the files that belong to a model file: .xml and .param keep their weights in a .bin."""
    return (file, file.with_suffix(".bin")) if file.suffix in (".xml", ".param") else (file,)


def trust(file: Path) -> None:
    """Take a model file as one that needs no trial in this process."""
    _known.add(_key(_sums(file)))


def vouch(file: Path) -> None:
    """Take a model file as one that needs no trial in any of this user's processes: galago itself has just written it."""
    trust(file)
    note(_key(_sums(file)))


def ensure_tried(file: Path, engine: str, *, threads: int | None = None, precision: str = "float32") -> None:
    """Open a file in a child process first, unless it is known; an error that the engine reports itself is none here.

    Args:
        file: the one that the engine runs; a missing one is left to the engine.
        engine: its name.
        threads, precision: as it will be opened, so that what the child compiles for the cache is what is wanted.
    Raises:
        ModelError: the child crashed, or took minutes; or a part of the file cannot be read.
    """
    if not can_try() or not all(part.is_file() for part in parts(file)):
        return
    sums = _sums(file)
    keys = {_key(sums), _key(sums, engine, _version(engine), processor())}
    if keys & _known or _is_bundled(file.name, sums) or any(is_noted(key) for key in keys):
        return
    if _try_in_child(file, engine, threads, precision):
        key = _key(sums, engine, _version(engine), processor())
        _known.add(key)
        note(key)


def try_here(file: str, engine: str, threads: int | None, precision: str) -> None:
    """Open a file, label one black image, and end this process with a code that says whether the engine took the file."""
    from galago.runtime.engines.table import ENGINES

    path = Path(file)
    trust(path)
    try:
        opened = ENGINES[engine].open(path, threads, precision)
    except (ModelError, ConfigError, MissingDependencyError):
        os._exit(REFUSED)
    size = opened.input_size or (onnx_input_size(path) if path.suffix == ".onnx" else None) or SMALL
    try:
        opened.run(np.zeros((1, *size, 3), np.uint8))
    except ModelError:  # it takes another size, and did not crash over it
        pass
    os._exit(PASSED)


def _try_in_child(file: Path, engine: str, threads: int | None, precision: str) -> bool:
    """Return whether the engine took the file.

    Raises:
        ModelError: it crashed, or came to no end.
    """
    given = json.dumps([str(file), engine, threads, precision])
    arguments = [sys.executable, "-c", CHILD, json.dumps(sys.path), given]
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(arguments, stdin=quiet, stdout=quiet, stderr=quiet, check=False, timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{engine} does not come to an end with {file}. Copy it again, or export it again with `galago export`."
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
            cause, other = f"it cannot convert {unusual or 'one of its operators'}", ", or use --engine onnxruntime"
    if code == KILLED:
        cause = "the system ended it, as it does where memory is short"
    return (
        f"{NAMES.get(engine, engine)} crashes on {file}: {cause}. Copy it again, export it again with `galago export`{other}."
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


def _version(engine: str) -> str:
    from galago.runtime.engines.table import ENGINES

    try:
        return version(ENGINES[engine].distribution)
    except PackageNotFoundError:
        return ""


def _is_bundled(name: str, sums: tuple[str, ...]) -> bool:
    """Tell whether a file is that of a bundled model, which was tried when galago was released."""
    return any(sums == (json.loads(told.read_bytes())["files"].get(name),) for told in ASSETS.glob("*/model.json"))
