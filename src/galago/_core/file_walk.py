"""The files of a folder and of those in it, or of a pattern, for all that users point at."""

import glob
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


def glob_once(pattern: str) -> list[Path]:
    """Return what `glob.glob(pattern, recursive=True)` finds, sorted, each file once.

    A file is named by its shortest path.

    Links to folders are followed, but no folder is searched twice, so that circles end; hidden
    files and folders count only where the pattern names them. Folders that may not be read are
    passed over, as by the glob module.
    """
    first: dict[tuple[Identity, str], Path] = {}
    for path in sorted(map(Path, _matches(pattern)), key=lambda path: (len(path.parts), path)):
        first.setdefault((_identity(path.parent), path.name), path)
    return sorted(first.values())


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a key to sort by that takes digits as numbers."""
    parts = re.split(r"([0-9]+)", path.as_posix())  # text, digits, text, digits ...
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]


def _walk(folder: Path, above: frozenset[Identity]) -> Iterator[Path]:
    """Yield files, but of no folder in `above`: those on the way here, and those that hold them."""
    above |= {_identity(folder)}
    for path in _visible(folder):
        if path.is_dir():
            if _identity(path) not in above:
                yield from _walk(path, above | _holders(path) if path.is_symlink() else above)
        elif path.is_file() or path.is_symlink():  # no pipes, sockets, devices
            yield path


def _matches(pattern: str) -> Iterator[str]:
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)  # noqa: PTH207  # Path.glob takes no absolute pattern
        return
    place = parts.index("**")
    before, after = Path(*parts[:place]), parts[place + 1 :] or ("*",)
    tops = [Path(top) for top in sorted(glob.iglob(str(before)))] if place else [before]  # noqa: PTH207
    for folder in _each_once([top for top in tops if top.is_dir()]):
        yield from _matches(str(Path(glob.escape(str(folder)), *after)))


def _each_once(level: list[Path]) -> Iterator[Path]:
    """Yield folders and all those inside but hidden ones, each once, the shallowest first."""
    seen: set[Identity] = set()
    while level:
        inner: list[Path] = []
        for folder in level:
            identity = _identity(folder)
            if identity not in seen:
                seen.add(identity)
                yield folder
                inner += _folders_in(folder)
        level = inner


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in _visible(folder) if path.is_dir())
    except OSError:
        return []


def _visible(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if not is_hidden(entry.name)]


def _holders(folder: Path) -> frozenset[Identity]:
    return frozenset(_identity(parent) for parent in folder.resolve().parents)


def _identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino
