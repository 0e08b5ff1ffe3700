"""Read an image from top to bottom, some rows at a time; with libvips it is decoded on the way."""

import logging
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from galago import image as images
from galago._core import tiff
from galago._core.image_decoder import UnreadableImageError, check_header
from galago._core.image_header import ImageHeader
from galago.errors import ImageError, MissingDependencyError, require

LOADERS = {  # libvips has more, untested here
    "JPEG": "jpegload",
    "PNG": "pngload",
    "TIFF": "tiffload",
    "WebP": "webpload",
}
DEPTHS = {"uchar": 0, "ushort": 8}  # bits to drop
# libvips would convert others to RGB in its own way
INTERPRETATIONS = ("b-w", "grey16", "rgb", "rgb16", "srgb", "multiband")


class RowReader(Protocol):
    """An image that can be read once, from the top.

    Attributes:
        size: (height, width) in pixels.
    """

    size: tuple[int, int]

    def read(self, count: int) -> np.ndarray:
        """Return the next rows, (count, W, 3) uint8 RGB.

        Raises:
            ImageError: the file is damaged there.
        """

    def describe_depth(self) -> str | None:
        """Return what `galago.image.describe_depth` says about the rows read so far."""


class ArrayRowReader:
    """An (H, W, 3) uint8 RGB image in memory."""

    def __init__(self, image: np.ndarray, *, depth: int = 8) -> None:
        """Take an image, and the bits per sample of the file that it comes from.

        Raises:
            ImageError: the array has another shape or dtype.
        """
        images.check(image)
        self.size = (image.shape[0], image.shape[1])
        self._image = image
        self._top = 0
        self._depth = depth

    def read(self, count: int) -> np.ndarray:
        """Return the next rows."""
        self._top += count
        return self._image[self._top - count : self._top]

    def describe_depth(self) -> str | None:
        """Return a note if the file does not use its 16 bits."""
        return (
            images.describe_depth(self._depth, int(self._image.max()))
            if self._depth == 16
            else None
        )


class FileRowReader:
    """A JPEG, PNG, TIFF, BigTIFF or WebP file, of which libvips decodes no more than is read.

    The pixels are those of `galago.image.load`; files that libvips would decode differently are
    refused here, so that they are decoded whole.

    A large image with an EXIF orientation is decoded into a temporary file first. A progressive
    JPEG, an interlaced PNG and a TIFF with premultiplied alpha or gray planes are decoded at once,
    which takes memory, and has the size limit of `load`.

    Attributes:
        size: (height, width) in pixels.
        depth: bits per sample of the file.
        brightest: of a file of 16 bits, the largest value read so far, 0 to 255.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and read its header.

        Raises:
            ImageError: the file is missing or no image, or libvips does not read it as
                `galago.image.load` does.
            MissingDependencyError: pyvips is not installed.
        """
        self._path = path
        self._vips = _load_vips()
        header = images.read_header(path)
        misread = header.tags is not None and tiff.is_misread_by_libvips(header.tags)
        try:
            check_header(header, whole=header.progressive or misread)
        except UnreadableImageError as error:
            raise ImageError(f"{path} {error}") from error
        if header.kind not in LOADERS or (header.tags and not tiff.is_plain(header.tags)):
            form = "8 or 16 bits of gray or RGB as JPEG, PNG, WebP or TIFF"
            raise ImageError(f"{path} cannot be read in strips. Expected {form}.")
        self.depth = header.depth
        self.brightest = 0
        self._top = 0
        self._whole: np.ndarray | None = None
        if misread:
            self._whole = images.load(path)
            self.size = (self._whole.shape[0], self._whole.shape[1])
            return
        try:
            image = self._open_autorotated(header)
        except self._vips.Error as error:
            raise ImageError(
                f"{path} is no photo that can be read. Expected JPEG, PNG, WebP or TIFF."
            ) from error
        if image.interpretation not in INTERPRETATIONS or image.format not in DEPTHS:
            raise ImageError(
                f"{path} holds {image.interpretation} as {image.format}, expected 8 or 16 bits of "
                "gray or RGB."
            )
        self._bands, self._drop = image.bands, DEPTHS[image.format]
        self._depth = np.uint16 if self._drop else np.uint8
        self.size = (image.height, image.width)
        self._region = self._vips.Region.new(image)

    def _open_autorotated(self, header: ImageHeader) -> Any:
        """Open the file, rotated as EXIF says; decodes nothing, unless it has to be rotated."""
        source = _open_source(self._vips, self._path)
        load = f"{LOADERS[header.kind]}_source"
        if header.orientation == 1:
            return self._vips.Operation.call(load, source, access="sequential", fail_on="error")
        image = self._vips.Operation.call(load, source, fail_on="error").copy()
        image.set_type(self._vips.GValue.gint_type, "orientation", header.orientation)
        return image.autorot()

    def read(self, count: int) -> np.ndarray:
        """Return the next rows.

        Raises:
            ImageError: the file is truncated or damaged there.
        """
        first, self._top = self._top, self._top + count
        rows = (
            self._whole[first : self._top]
            if self._whole is not None
            else self._decode(first, count)
        )
        if self.depth == 16:
            self.brightest = max(self.brightest, int(rows.max(initial=0)))
        return rows

    def describe_depth(self) -> str | None:
        """Return a note if the rows read so far do not use the file's 16 bits."""
        return images.describe_depth(self.depth, self.brightest)

    def _decode(self, top: int, count: int) -> np.ndarray:
        try:
            data = self._region.fetch(0, top, self.size[1], count)
        except self._vips.Error as error:
            raise ImageError(
                f"{self._path} is cut short or damaged: it ends early, after about {top} of "
                f"{self.size[0]} rows. Copy it again."
            ) from error
        rows: np.ndarray = np.frombuffer(data, self._depth).reshape(
            count, self.size[1], self._bands
        )
        rows = rows[..., :3] if self._bands >= 3 else rows[..., [0, 0, 0]]
        return (rows >> self._drop).astype(np.uint8) if self._drop else rows


def _load_vips() -> Any:
    """Import pyvips without its log, whose messages our own errors say better.

    Raises:
        MissingDependencyError: it is not installed, or finds no libvips.
    """
    try:
        vips = require("pyvips", "large")
    except OSError as error:
        raise MissingDependencyError(
            "pyvips finds no libvips. Run: pip install 'galago[large]'"
        ) from error
    log = logging.getLogger("pyvips")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return vips


def _open_source(vips: Any, path: Path) -> Any:
    """Open a file for libvips by its descriptor, so that its name may be any bytes.

    Raises:
        ImageError: the file is missing.
    """
    try:
        with path.open("rb") as file:
            return vips.Source.new_from_descriptor(file.fileno())  # which copies the descriptor
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}.") from error


def can_read_rows() -> bool:
    """Tell whether files can be read strip by strip: whether pyvips is installed."""
    try:
        _load_vips()
    except MissingDependencyError:
        return False
    return True


def image_size(path: Path) -> tuple[int, int] | None:
    """Return the (height, width) in a file's header; None if it cannot be read strip by strip."""
    if not can_read_rows():
        return None
    try:
        return FileRowReader(path).size
    except ImageError:
        return None


def open_row_reader(source: np.ndarray | str | Path) -> RowReader:
    """Open an image for reading from the top: strip by strip where possible, else decoded whole.

    Raises:
        ImageError: the image cannot be read, or the array has another shape or dtype.
    """
    if isinstance(source, np.ndarray):
        return ArrayRowReader(source)
    if can_read_rows():
        try:
            return FileRowReader(Path(source))
        except ImageError:  # OpenCV reads more kinds, and says better what is wrong
            pass
    image, header = images.load_with_header(source)
    return ArrayRowReader(image, depth=header.depth)
