"""Files that cannot be written: which errors end a whole run, which only one file, and what to do
about each.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".galago"  # how the names of temporary files end
FULL = {errno.ENOSPC, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else [])}
# Errors that the next file would meet as well. EIO is none: it may be one bad sector.
FATAL = FULL | {
    errno.EROFS,
    errno.ENODEV,
    errno.ENXIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOTDIR,
}
FATAL |= {
    getattr(errno, name)
    for name in ("ESTALE", "ENOTCONN", "EHOSTDOWN", "ETIMEDOUT")
    if hasattr(errno, name)
}


def stops_all(error: BaseException) -> bool:
    """Tell whether nothing more can be written after an error, so that going on with the next file
    makes no sense.

    A full or read-only disk does; a name that is too long, or a folder in a file's way, does not.

    Args:
        error: an OSError, or one of ours that was raised from it.
    """
    found = _os_error(error)
    if found is None:
        return False
    if found.errno in (errno.EACCES, errno.EPERM):
        folder = _folder_of(found)
        return folder is not None and not os.access(folder, os.W_OK)
    return found.errno in FATAL


def is_known(error: OSError) -> bool:
    """Tell whether `advice` has more to say than to choose another folder, whatever was done with
    the file.
    """
    return error.errno in FATAL - {errno.ENOTDIR} or error.errno in (errno.EIO, errno.ENAMETOOLONG)


def cannot_write(path: str | Path, error: OSError) -> str:
    """Say that a file cannot be written, why, and what to do."""
    return f"Cannot write {path}: {error.strerror or error}. {advice(error)}"


def advice(error: OSError) -> str:
    """Say what to do about an error of the file system."""
    if error.errno in FULL:
        return "Free space or choose another folder."
    if error.errno == errno.ENAMETOOLONG:
        return "Give it a shorter name."
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
        return "Something else has that name: move it away, or choose another folder."
    if error.errno in (errno.EINVAL, errno.EILSEQ):
        return "The file system takes no such name: give it another one."
    if error.errno == errno.EFBIG:
        return "Free space or choose another folder."
    if error.errno == errno.EROFS:
        return "The disk can only be read: choose another folder."
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return "The system has no room for more: close other programs and try again."
    if error.errno == errno.EIO:
        return "The disk does not answer as it should: choose a folder on another disk."
    return "Choose another folder."


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of the file system inside a block the name of the file that the user knows.

    Those of `file.write` come without any, those of a temporary file with a name that nobody has
    seen.
    """
    try:
        yield
    except OSError as error:
        ours = error.filename is None or str(error.filename).endswith(TEMPORARY)
        if error.errno is not None and ours:
            error.filename, error.filename2 = str(path), None
        raise


def _os_error(error: BaseException | None) -> OSError | None:
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error


def _folder_of(error: OSError) -> Path | None:
    if not isinstance(error.filename, str):
        return None
    folder = Path(error.filename).parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
