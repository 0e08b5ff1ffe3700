"""What to label: a photo, folder, glob or list becomes one iterator over frames."""

import codecs
import glob
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from galago.errors import SourceError

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Frame:
    """One photo to label.

    Attributes:
        name: for the files that are written about it; unique within a source.
        path: where it lies.
    """

    name: str
    path: Path


def open_source(source: str) -> list[Frame]:
    """List the photos of a source, in order.

    Args:
        source: a photo; a folder (its photos, not those of folders inside); a glob, `**` for any depth; a .txt file with one path
            a line, relative to that file; or `-` for paths on standard input.
    Raises:
        SourceError: nothing is there, or no photo is among it.
    """
    paths = _find(source)
    if not paths:
        if source == "-" or source.lower().endswith(LIST_SUFFIX):
            raise SourceError(f"{'Standard input' if source == '-' else source} names no photo. Expected one path a line.")
        raise SourceError(f"No photo in {source}. Expected files that end in {', '.join(PHOTO_SUFFIXES)}.")
    return list(_with_unique_names(paths))


def _find(source: str) -> list[Path]:
    path = Path(source)
    if source == "-":
        lines = os.fsdecode(sys.stdin.buffer.read()).splitlines()  # a path need not be text
        return [Path(line.strip()) for line in lines if line.strip()]
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file())
    if path.is_file() and path.suffix.lower() == LIST_SUFFIX:
        lines = os.fsdecode(path.read_bytes().removeprefix(codecs.BOM_UTF8)).splitlines()
        return [path.parent / line.strip() for line in lines if line.strip()]
    if path.is_file():
        return [path]
    if glob.has_magic(source):
        found = (Path(name) for name in glob.glob(source, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        return sorted(file for file in found if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file())
    kinds = "a photo, a folder, a glob in quotes, a .txt list, or - for paths on standard input"
    raise SourceError(f"There is nothing at {source}. Give {kinds}.")


def _with_unique_names(paths: list[Path]) -> Iterator[Frame]:
    """Name each photo after its file; where two share that name, the later one gets a number that is still free."""
    taken = {path.stem for path in paths}
    counts: dict[str, int] = {}
    for path in paths:
        name, count = path.stem, counts.get(path.stem, 0) + 1
        if count > 1:
            while (name := f"{path.stem}_{count}") in taken:
                count += 1
        counts[path.stem] = count
        taken.add(name)
        yield Frame(name, path)
