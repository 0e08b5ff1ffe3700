"""File names that are not UTF-8, which some libraries cannot open: on Linux they may be any bytes.

Such bytes are surrogates in Python's text: PEP 383.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from galago.errors import ConfigError


def is_utf8(path: str | Path) -> bool:
    """Tell whether a path can be written in UTF-8."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def not_utf8_message(path: str | Path, library: str) -> str:
    """Return the sentence that a library cannot open a path, and what to do."""
    return f"The name {path} is no UTF-8, which {library} cannot open. Rename the file or folder."


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


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """Yield an absolute path in UTF-8: a file's own, or that of a temporary link to it.

    Raises:
        OSError: the name is not UTF-8, and no link can be made.
    """
    absolute = path.absolute()
    if is_utf8(absolute):
        yield str(absolute)
        return
    with tempfile.TemporaryDirectory(prefix="galago-") as folder:
        if not is_utf8(folder):
            raise OSError(f"the folder for temporary files, {folder!a}, has a name that is no text")
        link = Path(folder, "link" + (path.suffix if is_utf8(path.suffix) else ""))
        link.symlink_to(absolute)
        yield str(link)
