"""Files and folders are written whole or not at all, and told apart by their checksum.

Each is written beside its place, under a short hidden name that ends in `.galago`, and locked while
its writer lives. What a killed process left is deleted by the next one that writes the same name.
"""

import ctypes
import errno
import hashlib
import itertools
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from galago._core.locks import is_at, lock, try_lock
from galago._core.write_errors import naming

CACHE_VARIABLE = "GALAGO_CACHE"  # another folder; empty for none
READABLE = 32  # bytes; a longer name stands in its temporary one as a checksum
ABANDONED_S = 24 * 3600.0  # without locks, a temporary file of this age has no writer anymore
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def write_whole(path: Path, content: bytes, *, lasting: bool = False) -> None:
    """Write a file beside its place, then rename it: no full disk, Ctrl-C or kill leaves half a
    file.

    Args:
        path: file to write; its folder is made where it is missing, an older file is replaced.
        content: all of it.
        lasting: as in `write_beside`.
    Raises:
        OSError: the folder or the file cannot be written; names the path; nothing is left behind.
    """
    with write_beside(path, lasting=lasting) as file:
        file.write(content)


@contextmanager
def write_beside(path: Path, *, lasting: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write piece by piece; it takes its place when the block ends.

    On any error it is deleted, and an older file stays.

    Args:
        path: its folder is made where it is missing, an older file is replaced.
        lasting: wait until the disk has it, so that it outlives a power cut. That is done without
            being asked where an older file is replaced: one of the two is there then.
    Raises:
        OSError: the folder or the file cannot be written; names the path; nothing is left behind.
    """
    with naming(path):
        make_folder(path.parent)
        descriptor, beside = _open_beside(path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                lasting |= path.exists()
                if lasting:
                    os.fsync(descriptor)
                if os.name == "nt":  # there an open file cannot be renamed
                    file.close()
                beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        if lasting:
            sync_folder(path.parent)


@contextmanager
def folder_beside(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Give an empty folder to fill; it takes its place when the block ends, replacing an older one.

    At every moment the old folder or the new one stands at `path`, whole; where the system cannot
    exchange two folders, the old one may lie beside it for an instant, and is put back by the next
    call if the process was killed in it. On any error the new one is deleted, and the old one
    stays.

    Args:
        path: its parent is made where it is missing; a link is followed.
        lasting: wait until the disk has all of it before the older folder goes.
    Raises:
        OSError: the folder cannot be written; names the path; nothing is left behind.
    """
    path = path.resolve()
    with naming(path):
        make_folder(path.parent)
        recover_folder(path)
        descriptor, beside = _make_beside(path)
        try:
            yield beside
            if lasting:
                sync_tree(beside)
            replace_folder(beside, path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)  # the new one that failed, or the old one
            if descriptor is not None:
                os.close(descriptor)


def replace_folder(new: Path, path: Path) -> None:
    """Put a folder in the place of another, without a moment in which neither stands there.

    The old one, if any, is at `new` afterwards or gone. Both lie on one disk.

    Raises:
        OSError: they cannot be renamed; the old one is where it was.
    """
    if not path.exists():
        new.rename(path)
    elif not _exchange(new, path):
        old = _old(path)
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        try:
            new.rename(path)
        except BaseException:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(path.parent)


def recover_folder(path: Path) -> None:
    """Put back the old folder that a process was killed over while it replaced it, if so.

    Raises:
        OSError: it cannot be renamed.
    """
    if (old := _old(path)).is_dir() and not path.exists():
        old.rename(path)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        OSError: it cannot be made; `NotADirectoryError` where a file is in its place.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file, not a folder", str(folder))
    folder.mkdir(parents=True, exist_ok=True)


def sync_tree(folder: Path) -> None:
    """Wait until the disk has all files of a folder."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            with path.open(
                "rb+" if os.name == "nt" else "rb"
            ) as file:  # a link to a file that is not to be written
                os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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


def _beside(path: Path, number: int) -> Path:
    """Return a temporary name of a file, which is short however long the file's own name is."""
    name = path.name
    if len(os.fsencode(name)) > READABLE:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return path.with_name(f".{name}.{number}.galago")


def _old(path: Path) -> Path:
    """Return where an old folder lies while the new one takes its place."""
    return path.with_name(_beside(path, 0).name.replace(".0.galago", ".old.galago"))


def _open_beside(path: Path) -> tuple[int, Path]:
    """Make a temporary file and lock it: its descriptor and its name."""
    for number in itertools.count():
        beside = _beside(path, number)
        _sweep(beside)
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(beside, flags, 0o666)
            lock(descriptor)
            if is_at(descriptor, beside):  # else swept before it was locked
                _sweep(_beside(path, number + 1))
                return descriptor, beside
            os.close(descriptor)
    raise AssertionError


def _make_beside(path: Path) -> tuple[int | None, Path]:
    """Make a temporary folder and lock it: its descriptor, where folders have any, and its name."""
    for number in itertools.count():
        beside = _beside(path, number)
        _sweep(beside)
        with suppress(FileExistsError):
            beside.mkdir()
            if os.name == "nt":
                return None, beside
            with suppress(FileNotFoundError):
                descriptor = os.open(beside, os.O_RDONLY)
                lock(descriptor)
                if is_at(descriptor, beside):
                    _sweep(_beside(path, number + 1))
                    return descriptor, beside
                os.close(descriptor)
    raise AssertionError


def _sweep(beside: Path) -> None:
    """Delete a temporary file or folder that its writer left; one in use stays."""
    try:
        kind = os.lstat(beside)
    except OSError:
        return
    if not (stat.S_ISREG(kind.st_mode) or stat.S_ISDIR(kind.st_mode)):
        return
    free: bool | None = None
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(beside, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        free = try_lock(descriptor)
    try:
        if free is None and time.time() - kind.st_mtime < ABANDONED_S:
            return
        if free is False or (descriptor is not None and not is_at(descriptor, beside)):
            return
        if stat.S_ISDIR(kind.st_mode):
            shutil.rmtree(beside, ignore_errors=True)
        else:
            with suppress(OSError):
                beside.unlink()
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names at once; False where the system or the disk cannot.

    Raises:
        OSError: it could, but may not.
    """
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(first), os.fsencode(second)
    if rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return True
    failure = ctypes.get_errno()
    if failure in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EXDEV):
        return False
    raise OSError(failure, os.strerror(failure), str(second))
