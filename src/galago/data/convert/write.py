"""Writes a data set in the layout that galago reads: images/, masks/, data.yaml."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from galago import image as images
from galago._core.atomic_io import folder_beside
from galago.data.convert.source import Source
from galago.errors import ConfigError, DataError
from galago.labels import IGNORE_ID, LabelSet


def check_out(out: Path) -> None:
    """Refuse to write among other files.

    Raises:
        ConfigError: the folder is a file, or not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} is {'not empty' if out.is_dir() else 'a file'}. Choose a new folder with --out."
        )


def write(
    source: Source,
    out: Path,
    *,
    made_by: str,
    accept_unknown: bool = False,
    on_item: Callable[[], None] = lambda: None,
) -> None:
    """Write images, masks and data.yaml.

    The folder is there when all of it is, and on any error nothing is.

    Images are hard links to the originals where the disk allows it, else copies.

    Args:
        source: what to write.
        out: folder that is new or empty.
        made_by: goes into the first line of data.yaml.
        accept_unknown: let pixels without a meaning be ignored.
        on_item: called after each image.
    Raises:
        ConfigError: the folder is not empty.
        DataError: two images have one name, there are none, or something in them has no meaning.
    """
    check_out(out)
    if not source.items:
        raise DataError("No photos were found to convert.")
    seen: dict[tuple[str, str], Path] = {}
    for item in source.items:
        if other := seen.get((item.split, item.name)):
            raise DataError(
                f"Two photos of {item.split} are called {item.name}: {other} and {item.image}. "
                "Rename one."
            )
        seen[item.split, item.name] = item.image
    with folder_beside(out, lasting=False) as root:  # it replaces nothing, and can be made again
        for item in source.items:
            images.save_labels(
                root / "masks" / item.split / f"{item.name}.png",
                item.read_labels(),
                source.label_set.palette,
            )
            link_or_copy(
                item.image, root / "images" / item.split / f"{item.name}{item.image.suffix.lower()}"
            )
            on_item()
        if source.unknown and not accept_unknown:
            source.unknown.check()
        (root / "data.yaml").write_text(describe(source.label_set, made_by), encoding="utf-8")


def link_or_copy(image: Path, place: Path) -> None:
    """Link an image to its new place, or copy it byte for byte where that fails."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(image.resolve(), place)
    except OSError:  # another disk, or one without links
        shutil.copyfile(image, place)


def describe(label_set: LabelSet, made_by: str) -> str:
    """Return data.yaml."""
    names = yaml.safe_dump(
        {"names": dict(enumerate(label_set.names))}, sort_keys=False, allow_unicode=True
    )
    palette = "\n".join(f"  - {list(color)}" for color in label_set.palette)
    return f"# Made by {made_by}.\npath: .\n{names}ignore_id: {IGNORE_ID}\npalette:\n{palette}\n"
