"""Names of files that are no UTF-8: on Linux a name may be any bytes (PEP 383)."""

import os
from pathlib import Path


def is_utf8(path: str | Path) -> bool:
    """Tell whether a path is text that every library can open."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def no_utf8(path: str | Path, what: str) -> str:
    """Say that a path is no UTF-8, and what to do.

    Args:
        path: the path.
        what: the library that takes no such path.
    """
    return f"The name {path} is no UTF-8, which {what} cannot open. Rename the file or folder."
