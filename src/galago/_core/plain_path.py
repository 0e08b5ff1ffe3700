"""Paths for libraries that end the whole program over a name that is not text."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_text(path: str) -> bool:
    """Tell whether a path can be written in UTF-8.

    A name from an old archive may hold any bytes.
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def plain_path(path: Path) -> Iterator[str]:
    """Give an absolute path that is text: a file's own, or that of a link to it, which is there as
    long as the block lasts.

    Raises:
        OSError: the name is no text, and no link can be made.
    """
    absolute = path.absolute()
    if is_text(str(absolute)):
        yield str(absolute)
        return
    with tempfile.TemporaryDirectory(prefix="galago-") as folder:
        if not is_text(folder):
            raise OSError(f"the folder for temporary files, {folder!a}, has a name that is no text")
        link = Path(folder, "link" + (path.suffix if is_text(path.suffix) else ""))
        link.symlink_to(absolute)
        yield str(link)
