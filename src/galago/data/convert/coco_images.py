"""Images that COCO files name, as far as possible in the words of other systems."""

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LABEL_STUDIO = "/data/local-files/"  # ?d=images/a.jpg


class ImageFinder:
    """Finds the files of a COCO file in the folders where they may be."""

    def __init__(self, folders: list[Path], *, last_part: bool) -> None:
        """Prepare to look.

        Args:
            folders: where to look, in order.
            last_part: also look for the end of each name alone, `b.jpg` of `a/b.jpg`; names of
                other systems are looked for so in any case.
        """
        self._folders = list(dict.fromkeys(folders))
        self._last_part = last_part
        self._listings: dict[Path, dict[tuple[str, str], Path]] = {}

    @property
    def looked_in(self) -> str:
        """The folders in words."""
        return ", ".join(map(str, self._folders))

    def find(self, name: str) -> tuple[Path, str] | None:
        """Find an image.

        Args:
            name: `file_name` of the COCO file: a path here, a path of Windows, a URL.
        Returns:
            the file, and its name in the data set: `/` between folders, no suffix, no `..`.
        """
        parts, foreign = split_name(name)
        if not parts:
            return None
        for folder in self._folders:
            if is_file(folder / name):
                return folder / name, without_suffix(parts[-1:] if foreign else parts)
        tails = range(len(parts)) if foreign or self._last_part else range(1)
        for start in tails:
            for folder in self._folders:
                if found := self._in_folder(folder.joinpath(*parts[start:])):
                    return found, without_suffix(parts[start:])
        return None

    def _in_folder(self, path: Path) -> Path | None:
        """Find a file, the letter case of whose suffix may differ."""
        if is_file(path):
            return path
        if path.parent not in self._listings:
            self._listings[path.parent] = _list(path.parent)
        return self._listings[path.parent].get((path.stem, path.suffix.lower()))


def split_name(name: str) -> tuple[list[str], bool]:
    """Return the parts of a path, those behind the last `..`, and whether it is of another system.

    Paths of Windows, URLs, absolute paths and such with `..` are.
    """
    foreign = "\\" in name or "://" in name or name.startswith("/")
    if "://" in name or name.startswith(LABEL_STUDIO):
        try:
            address = urlsplit(name)
        except ValueError:  # brackets that hold no address
            return [], True
        name = parse_qs(address.query).get("d", [unquote(address.path)])[-1]
    parts = re.split(r"[\\/]", name) if "\\" in name else name.split("/")
    if re.fullmatch("[A-Za-z]:", parts[0]):
        parts, foreign = parts[1:], True
    if ".." in parts:
        parts, foreign = parts[len(parts) - parts[::-1].index("..") :], True
    return [part for part in parts if part not in ("", ".")], foreign


def without_suffix(parts: list[str]) -> str:
    """Join the parts of a path without the suffix."""
    return Path(*parts).with_suffix("").as_posix()


def is_file(path: Path) -> bool:
    """Tell whether there is a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, a zero byte
        return False


def _list(folder: Path) -> dict[tuple[str, str], Path]:
    try:
        with os.scandir(folder) as entries:
            paths = [folder / entry.name for entry in entries if entry.is_file()]
    except (OSError, ValueError):
        return {}
    return {(path.stem, path.suffix.lower()): path for path in paths}
