"""The files of a folder and of those in it, for all that reads folders of users."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

Identity = tuple[int, int]  # device and inode of a folder


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is none of the user's: `._a.jpg` of macOS,
    `.ipynb_checkpoints`.
    """
    return name.startswith(".")


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of all folders in it, in natural order: `a2` before `a10`.

    Hidden files and folders are left out. Links are followed, to folders too; a link back to a
    folder that holds it (a circle) is not. Links to nothing are yielded, so that they can be told.

    Args:
        folder: where to look; a folder that does not exist has no files.
    Raises:
        OSError: a folder cannot be read.
    """
    if folder.is_dir():
        yield from sorted(_walk(folder, _holders(folder)), key=natural_key)


def _walk(folder: Path, above: frozenset[Identity]) -> Iterator[Path]:
    """Yield files, but of no folder in `above`: those on the way here, and those that hold them."""
    above |= {_identity(folder)}
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not is_hidden(entry.name)]
    for entry in visible:
        path = folder / entry.name
        if path.is_dir():
            if _identity(path) not in above:
                yield from _walk(path, above | _holders(path) if path.is_symlink() else above)
        elif path.is_file() or path.is_symlink():  # no pipes, sockets, devices
            yield path


def _holders(folder: Path) -> frozenset[Identity]:
    return frozenset(_identity(parent) for parent in folder.resolve().parents)


def _identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a key to sort by that takes digits as numbers."""
    parts = re.split(r"([0-9]+)", path.as_posix())  # text, digits, text, digits ...
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]
