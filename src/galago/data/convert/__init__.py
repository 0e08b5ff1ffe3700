"""Data sets in other forms, brought into the layout that galago reads; needs no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from galago.data.convert.ade20k import read_ade20k
from galago.data.convert.cityscapes import read_cityscapes
from galago.data.convert.coco import read_coco
from galago.data.convert.colors import read_colors
from galago.data.convert.roboflow import read_roboflow
from galago.data.convert.source import Item, Options, Source, drop_classes
from galago.data.convert.voc import read_voc
from galago.data.convert.write import check_out, write
from galago.data.listing import some
from galago.errors import ConfigError, DataError, choose
from galago.image import read_header

__all__ = [
    "CONVERTERS",
    "Converter",
    "Options",
    "Source",
    "check_out",
    "describe_turns",
    "read",
    "write",
]


@dataclass(frozen=True)
class Converter:
    """One form of data sets.

    Attributes:
        read: lists the images of a folder.
        about: what the folder should hold.
        options: names of the options that it has a use for, besides `ignore`.
    """

    read: Callable[[Path, Options], Source]
    about: str
    options: frozenset[str] = frozenset()


CONVERTERS = {
    "colors": Converter(
        read_colors, "photos and RGB masks, and a palette", frozenset({"palette", "unknown"})
    ),
    "coco": Converter(
        read_coco, "a JSON file of instances and photos", frozenset({"images", "unknown"})
    ),
    "voc": Converter(
        read_voc,
        "JPEGImages, SegmentationClass, ImageSets/Segmentation, labelmap.txt",
        frozenset({"palette", "images", "unknown"}),
    ),
    "cityscapes": Converter(read_cityscapes, "leftImg8bit and gtFine; 19 classes"),
    "roboflow": Converter(
        read_roboflow,
        "train, valid, test with NAME_mask.png and _classes.csv",
        frozenset({"unknown"}),
    ),
    "ade20k": Converter(
        read_ade20k,
        "the scene parsing benchmark: images, annotations; 150 classes",
        frozenset({"unknown"}),
    ),
}


def read(kind: str, source: Path, options: Options) -> Source:
    """List the images of a data set in another form.

    Raises:
        ConfigError: the kind is unknown, or has no use for an option.
        DataError: the data set is broken or incomplete.
    """
    converter, default = choose(CONVERTERS, kind, "kind of data set"), Options()
    for name in ("palette", "images", "unknown"):
        if getattr(options, name) != getattr(default, name) and name not in converter.options:
            raise ConfigError(f"--{name} has no use for {kind}.")
    if not source.exists():
        raise DataError(f"There is nothing at {source}.")
    return drop_classes(converter.read(source, options), options.ignore)


def describe_turns(items: list[Item]) -> str:
    """Say which images EXIF turns without changing their size, so that labels may be misplaced.

    Empty if none.

    Raises:
        ImageError: an image cannot be read.
    """
    turned = [item.image.name for item in items if read_header(item.image).turns_silently]
    if not turned:
        return ""
    return (
        f"{len(turned):,} photos have an EXIF orientation that turns pixels and changes no size: "
        f"{some(turned)}. galago turns "
        "photos upright. Look at them with galago data check: a tool that ignores EXIF put the "
        "labels elsewhere."
    )
