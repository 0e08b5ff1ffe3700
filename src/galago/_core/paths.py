"""Names of files that are no UTF-8: on Linux a name may be any bytes (PEP 383)."""

import os
from pathlib import Path

from galago.errors import ConfigError


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


def check_utf8(out: Path) -> None:
    """Refuse an output folder whose name is not UTF-8, before any work is done.

    Raises:
        ConfigError: it is not.
    """
    if not is_utf8(out):
        raise ConfigError(
            f"The name of {out} is no UTF-8, which safetensors and others cannot open. Choose "
            "another --out."
        )
