"""Files that a pattern finds, each once, even where links to folders lead in circles."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path


def glob_once(pattern: str) -> list[Path]:
    """Return what `glob.glob(pattern, recursive=True)` finds, sorted, each file under its shortest
    path.

    Links to folders are followed, but no folder is searched twice; hidden files and folders count
    only where the pattern names them.
    """
    first: dict[tuple[str, str], Path] = {}
    real: dict[str, str] = {}
    for path in sorted(map(Path, _matches(pattern)), key=lambda path: (len(path.parts), path)):
        parent = str(path.parent)
        if parent not in real:
            real[parent] = os.path.realpath(parent)
        first.setdefault((real[parent], path.name), path)
    return sorted(first.values())


def _matches(pattern: str) -> Iterator[str]:
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)  # noqa: PTH207  # Path.glob takes no absolute pattern
        return
    place = parts.index("**")
    before, after = str(Path(*parts[:place])) if place else "", parts[place + 1 :] or ("*",)
    tops = sorted(glob.iglob(before)) if before else [""]  # noqa: PTH207
    for folder in real_folders(tops):
        yield from _matches(str(Path(glob.escape(folder), *after)))


def real_folders(tops: list[str]) -> Iterator[str]:
    """Yield folders and all those inside, links followed, hidden ones left out, each real folder
    once, the shallowest first.
    """
    seen: set[str] = set()
    level = tops
    while level:
        inner: list[str] = []
        for folder in level:
            real = os.path.realpath(folder or ".")
            if real in seen or not Path(real).is_dir():
                continue
            seen.add(real)
            yield folder
            inner += _folders_in(folder)
        level = inner


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder or ".") as entries:
            names = sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
            )
    except OSError:  # may not be read, as the glob module passes over it
        return []
    return [str(Path(folder, name)) for name in names]
