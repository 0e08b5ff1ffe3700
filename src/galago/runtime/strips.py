"""A photo from the top to the bottom, some rows at a time: decoded as it is read where libvips is installed."""

import logging
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from galago import image as images
from galago.errors import ImageError, MissingDependencyError, require

TURNED_BY_LOAD = ("jpegload", "pngload", "tiffload")  # libvips' readers of the formats that OpenCV turns
FORMS = ("b-w", "grey16", "rgb", "rgb16", "srgb")  # libvips would turn others into RGB in its own way
DEPTHS = {"uchar": 0, "ushort": 8}  # bits to drop


class Strips(Protocol):
    """A photo that can be read once, from the top.

    Attributes:
        size: (height, width) in pixels.
    """

    size: tuple[int, int]

    def read(self, count: int) -> np.ndarray:
        """Return the next rows, (count, W, 3) uint8 RGB.

        Raises:
            ImageError: the file is damaged there.
        """


class ArrayStrips:
    """An (H, W, 3) uint8 RGB photo in memory."""

    def __init__(self, image: np.ndarray) -> None:
        """Take a photo.

        Raises:
            ImageError: the array has another form.
        """
        images.check(image)
        height, width = image.shape[:2]
        self.size = (height, width)
        self._image, self._top = image, 0

    def read(self, count: int) -> np.ndarray:
        """Return the next rows."""
        self._top += count
        return self._image[self._top - count : self._top]


class FileStrips:
    """A JPEG, PNG, TIFF, BigTIFF or WebP file, of which libvips decodes no more than is read.

    The pixels are those of `galago.image.load`, but that a TIFF's colors come as stored where they are half transparent.

    A photo that the camera turned is decoded into a temporary file first, if it is large. Of a progressive JPEG and an
    interlaced PNG all has to be decoded at once, which takes memory.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and read its header.

        Raises:
            ImageError: it is missing or no photo, or one that libvips does not read as `galago.image.load` does.
            MissingDependencyError: pyvips is not installed.
        """
        self._path, self._vips = path, load_vips()
        try:
            image = open_turned(self._vips, path)
        except self._vips.Error as error:
            raise ImageError(f"{path} is no photo that can be read. Expected JPEG, PNG, WebP or TIFF.") from error
        if image.interpretation not in FORMS or image.format not in DEPTHS:
            raise ImageError(f"{path} holds {image.interpretation} as {image.format}, expected 8 or 16 bits of gray or RGB.")
        self._bands, self._drop = image.bands, DEPTHS[image.format]
        self._depth = np.uint16 if self._drop else np.uint8
        self.size = (image.height, image.width)
        self._region, self._top = self._vips.Region.new(image), 0

    def read(self, count: int) -> np.ndarray:
        """Return the next rows.

        Raises:
            ImageError: the file is cut short or damaged there.
        """
        try:
            data = self._region.fetch(0, self._top, self.size[1], count)
        except self._vips.Error as error:
            raise ImageError(
                f"{self._path} is cut short or damaged: it breaks off after about {self._top} of {self.size[0]} rows. "
                "Copy it again from where it came."
            ) from error
        self._top += count
        rows: np.ndarray = np.frombuffer(data, self._depth).reshape(count, self.size[1], self._bands)
        rows = rows[..., :3] if self._bands >= 3 else rows[..., [0, 0, 0]]
        return (rows >> self._drop).astype(np.uint8) if self._drop else rows


def load_vips() -> Any:
    """Import pyvips, and keep it from printing what our own errors say better.

    Raises:
        MissingDependencyError: it is not installed, or finds no libvips.
    """
    try:
        vips = require("pyvips", "large")
    except OSError as error:
        raise MissingDependencyError("pyvips finds no libvips. Run: pip install 'galago[large]'") from error
    log = logging.getLogger("pyvips")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return vips


def open_turned(vips: Any, path: Path) -> Any:
    """Open a file for reading from the top, turned as the camera says; reads no more than the header of most files."""
    settings = {"fail_on": "error", "revalidate": True}  # the file may have changed since libvips saw it last
    image = vips.Image.new_from_file(str(path), access="sequential", **settings)
    turned = image.get_typeof("orientation") != 0 and image.get("orientation") > 1
    if turned and image.get("vips-loader").startswith(TURNED_BY_LOAD):
        return vips.Image.new_from_file(str(path), **settings).autorot()
    return image


def can_read_strips() -> bool:
    """Tell whether files can be read strip by strip here."""
    try:
        load_vips()
    except MissingDependencyError:
        return False
    return True


def photo_size(path: Path) -> tuple[int, int] | None:
    """Return the (height, width) that a file's header tells; None where it cannot be read strip by strip."""
    if not can_read_strips():
        return None
    try:
        return FileStrips(path).size
    except ImageError:
        return None


def open_strips(photo: np.ndarray | str | Path) -> Strips:
    """Open a photo for reading from the top: strip by strip where that can be done, else decoded whole.

    Raises:
        ImageError: the photo cannot be read, or the array has another form.
    """
    if isinstance(photo, np.ndarray):
        return ArrayStrips(photo)
    if can_read_strips():
        try:
            return FileStrips(Path(photo))
        except ImageError:  # OpenCV reads more kinds, and says better what is wrong
            pass
    return ArrayStrips(images.load(photo))
