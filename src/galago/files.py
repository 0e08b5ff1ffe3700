"""Files are written whole or not at all, and told apart by their checksum."""

import errno
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from galago._core.write_errors import naming

CACHE_VARIABLE = "GALAGO_CACHE"  # another folder; empty for none


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, then rename it, so that neither a full disk nor Ctrl-C leaves half a file.

    Args:
        path: file to write; its folder is made where it is missing, an older file there is replaced.
        content: all of it.
    Raises:
        OSError: the folder or the file cannot be written; nothing is left behind.
    """
    with naming(path), write_beside(path) as file:
        file.write(content)


@contextmanager
def write_beside(path: Path) -> Iterator[BinaryIO]:
    """Give a file beside a path to write piece by piece; it takes its place when the block ends, and is deleted on any error.

    Args:
        path: its folder is made where it is missing, an older file there is replaced.
    Raises:
        OSError: the folder or the file cannot be written; nothing is left behind.
    """
    if path.parent.exists() and not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{path.parent} is a file, not a folder", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(beside).chmod(0o666 & ~_umask())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path | None:
    """Return where compiled models and published weights are kept, None for nowhere.

    It is `$GALAGO_CACHE`, or galago's part of the user's cache folder.
    """
    if CACHE_VARIABLE in os.environ:
        return Path(os.environ[CACHE_VARIABLE]) if os.environ[CACHE_VARIABLE] else None
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local")) / "galago/cache"
    if sys.platform == "darwin":
        return home / "Library/Caches/galago"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "galago"


def _umask() -> int:
    """Return the process's file creation mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
