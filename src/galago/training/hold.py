"""One run at a time in a folder: a lock of the operating system, which ends with its process."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from galago._core.locks import is_at, try_lock
from galago.errors import TrainingError
from galago.training.distributed import let_first_process

LOCK = ".lock"
_held: set[Path] = set()  # by this process, which may ask again


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; of several processes of one run the first does it for all.

    A lock that a killed process held is free. Where the disk has no locks nothing is held.

    Args:
        folder: is made where it is missing, and removed at the end where nothing came into it.
    Raises:
        TrainingError: another run is at work there, or the folder cannot be written.
    """
    key, taken = folder.resolve(), []
    if key in _held:
        yield
        return
    let_first_process(lambda: taken.append(_take(folder)))
    _held.add(key)
    try:
        yield
    finally:
        _held.discard(key)
        for descriptor in taken:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)  # while it is locked: see _take
            os.close(descriptor)
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where it is empty


def _take(folder: Path) -> int:
    """Lock a folder and return the descriptor that holds the lock."""
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            if try_lock(descriptor) is False:
                process = os.read(descriptor, 20).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise TrainingError(
                    "Another run is at work in "
                    f"{folder}{f' (process {process})' if process else ''}. "
                    "Wait until it has ended, or choose another folder with --out."
                )
            if is_at(descriptor, path):  # else its holder has just deleted it
                os.truncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
            os.close(descriptor)
    except OSError as error:
        raise TrainingError(
            f"Cannot write to {folder}: {error.strerror or error}. Free space or choose another "
            "folder with --out."
        ) from error
