"""Compiled models on disk, so that the next start is quicker.

An engine takes a damaged compiled model for a good one and labels wrongly, so each is kept with its checksum and compiled again
where that does not match.
"""

import hashlib

from galago.files import cache_folder, write_whole

MOST_FILES = 32  # the oldest go
DIGEST_BYTES = 32


def key_of(*parts: str) -> str:
    """Return a name for what was compiled from a file's checksum, the engine's version and settings, and the processor."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def recall(key: str) -> bytes | None:
    """Return a compiled model; None where there is none, or a damaged one."""
    folder = cache_folder()
    try:
        content = (folder / f"{key}.blob").read_bytes() if folder else b""
    except OSError:
        return None
    digest, compiled = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return compiled if compiled and hashlib.sha256(compiled).digest() == digest else None


def keep(key: str, compiled: bytes) -> None:
    """Keep a compiled model; a disk that is full or read-only only means that the next start takes as long as this one."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        write_whole(folder / f"{key}.blob", hashlib.sha256(compiled).digest() + compiled)
        newest_first = sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in newest_first[MOST_FILES:]:
            path.unlink()
    except OSError:
        return
