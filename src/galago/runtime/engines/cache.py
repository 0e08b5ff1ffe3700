"""Compiled models on disk, so that the next start is quicker.

An engine takes a damaged compiled model for a good one and labels wrongly, so each is kept with a
checksum over its key and its content, and compiled again where that does not match: the key says
from which file it was compiled, so that another network's is noticed as well. Whoever can write
the folder can write checksums, too. So a folder or file that belongs to another user, or that
others can write, is not used at all.
"""

import hashlib
import os
import stat
import warnings
from pathlib import Path

from galago._core.atomic_io import CACHE_VARIABLE, cache_folder, write_whole
from galago._core.printable import printable

MOST_FILES = 32  # the oldest go
MOST_NOTES = 1000
DIGEST_BYTES = 32
OWN_FOLDER, OWN_FILE = 0o700, 0o600
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UnsafeCacheWarning(UserWarning):
    """Others can write the cache folder, so that compiled models are neither taken nor kept."""


def key_of(*parts: str) -> str:
    """Return a name for what was compiled from a file's checksum, the engine's version and
    settings, and the processor.
    """
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def load_compiled(key: str) -> bytes | None:
    """Return a compiled model.

    None where there is none, or one that is damaged, another's or another user's.

    Warns where others can write the folder.
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
    """Keep a compiled model.

    A disk that is full or read-only only means that the next start takes as long as this one.
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
        file.chmod(OWN_FILE)
        _drop_oldest(folder, "*.blob", MOST_FILES)
    except OSError:
        return


def record_trial(key: str) -> None:
    """Remember a key, of a model file that passed its trial.

    A disk that is full or read-only only means another trial.
    """
    folder = cache_folder()
    if folder is None:
        return
    try:
        _make_own_folder(folder)
        if not _is_own_folder(folder):
            return
        file = folder / f"{key}.tried"
        file.touch(mode=OWN_FILE)
        file.chmod(OWN_FILE)
        _drop_oldest(folder, "*.tried", MOST_NOTES)
    except OSError:
        return


def has_trial(key: str) -> bool:
    """Tell whether this user's galago remembers a key; warn where others can write the folder."""
    folder = cache_folder()
    if folder is None or not _is_own_folder(folder):
        return False
    try:
        return is_own((folder / f"{key}.tried").stat())
    except OSError:
        return False


def _drop_oldest(folder: Path, pattern: str, most: int) -> None:
    """Delete all files of a kind but the newest so many.

    Raises:
        OSError: one cannot be deleted.
    """
    newest_first = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[most:]:
        path.unlink()


def is_own(facts: os.stat_result) -> bool:
    """Tell whether a file or folder is the user's or the administrator's, and nobody else can write
    it.

    Always so on Windows, where a user's folders are that user's alone.
    """
    if os.name == "nt":
        return True
    return facts.st_uid in (os.geteuid(), 0) and not facts.st_mode & WRITABLE_BY_OTHERS


def _make_own_folder(folder: Path) -> None:
    """Make the folder for this user alone; an older one in the user's own cache becomes so, too.

    Raises:
        OSError: it cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=OWN_FOLDER)
    except FileExistsError:
        facts = folder.stat()
        ours = CACHE_VARIABLE not in os.environ and os.name != "nt" and facts.st_uid == os.geteuid()
        if ours and stat.S_IMODE(facts.st_mode) != OWN_FOLDER:
            folder.chmod(OWN_FOLDER)


def _is_own_folder(folder: Path) -> bool:
    """Tell whether the folder is there, and this user's alone to write; warn where it is not."""
    try:
        facts = folder.stat()
    except OSError:
        return False
    if is_own(facts):
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
