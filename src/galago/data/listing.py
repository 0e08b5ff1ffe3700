"""Files of a data set by kind and by name."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from galago._core.file_walk import walk_files
from galago._core.printable import printable
from galago.errors import DataError
from galago.image import IMAGE_SUFFIXES

MASK_SUFFIX = ".png"
MAX_LISTED = 5  # files, names and ids that one message shows


def files_in(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Walk through a folder and those in it, links too, in natural order: `a2` before `a10`.

    Suffixes count in any letter case; hidden files and folders do not count.

    Raises:
        DataError: a folder cannot be read.
    """
    yield from (path for path in _walk(folder) if path.suffix.lower() in suffixes)


def _walk(folder: Path) -> Iterator[Path]:
    try:
        yield from walk_files(folder)
    except OSError as error:
        raise DataError(
            f"Cannot read the folder {error.filename}: {error.strerror or error}."
        ) from error


def other_files(folder: Path) -> list[Path]:
    """Return the files in a folder that galago cannot read, such as the HEIC images of a phone.

    Raises:
        DataError: a folder cannot be read.
    """
    return [path for path in _walk(folder) if path.suffix.lower() not in IMAGE_SUFFIXES]


def describe_others(files: list[Path]) -> str:
    """Count files by their suffix and say what to do: `Left out: 5 .heic, 1 .avif. Convert ...`."""
    counts = Counter(printable(file.suffix.lower()) or "without suffix" for file in files)
    kinds = some([f"{count:,} {suffix}" for suffix, count in counts.most_common()])
    return f"Left out: {kinds}. Convert photos to {', '.join(IMAGE_SUFFIXES)}."


def stem_of(file: Path, folder: Path) -> str:
    """Return a file's path within a folder, without suffix and with `/`."""
    return file.relative_to(folder).with_suffix("").as_posix()


def by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """Return the files of a folder by `stem_of`; two that differ in their suffix alone share one.

    Raises:
        DataError: a folder cannot be read.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files_in(folder, suffixes):
        found[stem_of(file, folder)].append(file)
    return found


def only_one(files: list[Path]) -> Path:
    """Return the file of a name.

    Raises:
        DataError: there is more than one.
    """
    if len(files) > 1:
        raise DataError(
            f"{files[0]} and {files[1].name} have one name, so that it is unclear which one "
            "belongs "
            "to the photo. Remove one."
        )
    return files[0]


def some(items: list[str]) -> str:
    """Join a few items and count the rest."""
    rest = len(items) - MAX_LISTED
    return ", ".join(items[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
