"""Compiled models on disk, for faster starts, and notes about model files that passed their trial.

An engine does not notice that a compiled model is damaged and labels wrongly. So each is stored
with a checksum over its key and its content, and compiled again if that does not match; the key
names the file that it was compiled from, so that another network's is noticed as well. Whoever can
write the folder can write checksums, too: a folder or file that belongs to another user, or that
others can write, is not used at all.
"""

import hashlib
import os
import stat
import warnings
from pathlib import Path

from galago._core.atomic_io import CACHE_VARIABLE, cache_folder, write_whole
from galago._core.printable import printable

MAX_COMPILED = 32  # the oldest are deleted
MAX_TRIALS = 1000
DIGEST_BYTES = 32
FOLDER_MODE = 0o700
FILE_MODE = 0o600
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UnsafeCacheWarning(UserWarning):
    """Others can write the cache folder, so compiled models are neither loaded nor stored."""


def key_of(*parts: str) -> str:
    """Return a key for what depends on all parts: a checksum, a version, a processor."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def load_compiled(key: str) -> bytes | None:
    """Return a compiled model; None if there is none, or one that is damaged or another user's.

    Warns if others can write the folder.
    """
    folder = cache_folder()
    if folder is None or not _is_own_folder(folder):
        return None
    try:
        with (folder / f"{key}.blob").open("rb") as file:
            if not is_own(os.fstat(file.fileno())):
                return None
            content = file.read()
    except OSError:
        return None
    digest, compiled = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return compiled if compiled and _digest(key, compiled) == digest else None


def store_compiled(key: str, compiled: bytes) -> None:
    """Store a compiled model, if possible.

    If the disk is full or read-only, the next start takes as long as this one.
    """
    folder = cache_folder()
    if folder is None:
        return
    try:
        _make_own_folder(folder)
        if not _is_own_folder(folder):
            return
        file = folder / f"{key}.blob"
        write_whole(file, _digest(key, compiled) + compiled)
        file.chmod(FILE_MODE)
        _drop_oldest(folder, "*.blob", MAX_COMPILED)
    except OSError:
        return


def record_trial(key: str) -> None:
    """Record the key of a model file that passed its trial, if possible.

    If the disk is full or read-only, the file is tried again next time.
    """
    folder = cache_folder()
    if folder is None:
        return
    try:
        _make_own_folder(folder)
        if not _is_own_folder(folder):
            return
        file = folder / f"{key}.tried"
        file.touch(mode=FILE_MODE)
        file.chmod(FILE_MODE)
        _drop_oldest(folder, "*.tried", MAX_TRIALS)
    except OSError:
        return


def has_trial(key: str) -> bool:
    """Tell whether a key is recorded; warns if others can write the folder."""
    folder = cache_folder()
    if folder is None or not _is_own_folder(folder):
        return False
    try:
        return is_own((folder / f"{key}.tried").stat())
    except OSError:
        return False


def _drop_oldest(folder: Path, pattern: str, most: int) -> None:
    """Delete the oldest files of a kind until `most` are left.

    Raises:
        OSError: one cannot be deleted.
    """
    newest_first = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[most:]:
        path.unlink()


def is_own(status: os.stat_result) -> bool:
    """Tell whether only the user or the administrator owns and can write a file or folder.

    Always true on Windows, where only users themselves can write their folders.
    """
    if os.name == "nt":
        return True
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & WRITABLE_BY_OTHERS


def _make_own_folder(folder: Path) -> None:
    """Make the folder for this user alone; correct the mode of an older one in the user's cache.

    Raises:
        OSError: it cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        status = folder.stat()
        ours = (
            CACHE_VARIABLE not in os.environ and os.name != "nt" and status.st_uid == os.geteuid()
        )
        if ours and stat.S_IMODE(status.st_mode) != FOLDER_MODE:
            folder.chmod(FOLDER_MODE)


def _is_own_folder(folder: Path) -> bool:
    """Tell whether the folder exists and only this user can write it; warns if others can."""
    try:
        status = folder.stat()
    except OSError:
        return False
    if is_own(status):
        return True
    warnings.warn(
        f"{printable(folder)} belongs to another user, or others can write it, so compiled models "
        "are not kept there and every "
        f"start takes longer. Make it yours (chmod go-w), or set {CACHE_VARIABLE} to another "
        "folder.",
        UnsafeCacheWarning,
        stacklevel=2,
    )
    return False


def _digest(key: str, compiled: bytes) -> bytes:
    """Return the checksum of a compiled model under its key."""
    digest = hashlib.sha256(key.encode())
    digest.update(compiled)
    return digest.digest()
