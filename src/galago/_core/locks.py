"""Locks of the operating system: they end with the process that holds them, however it ends."""

import contextlib
import errno
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

BUSY = (
    errno.EAGAIN,
    errno.EACCES,
)  # another process holds it; other errors: this disk has no locks


def lock(descriptor: int) -> None:
    """Wait for the lock of an open file or folder, and hold it until the descriptor is closed.

    Does nothing where the system or the disk has no such locks.
    """
    if fcntl:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def try_lock(descriptor: int) -> bool | None:
    """Take the lock of an open file or folder unless it is held.

    Returns:
        True: held by this descriptor until it is closed; False: held by another one; None: the
        system or the disk has no such locks.
    """
    if not fcntl:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in BUSY else None
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether a path still leads to an open file or folder: neither deleted nor replaced."""
    try:
        there, held = os.lstat(path), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
