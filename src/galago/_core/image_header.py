"""The header of an image file: kind, size, depth and camera orientation, without decoding it."""

import io
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from galago._core import avif, tiff

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
EXIF_START = b"Exif\0\0"
LARGEST_GAP = 1 << 16  # bytes without meaning between two parts of a JPEG
LARGEST_EXIF = 1 << 20  # bytes; JPEG allows 2^16
SWAPPED = (5, 6, 7, 8)  # orientations that swap width and height
MOST_BOXES = 65_536  # chunks of a PNG, say, before a file is given up
READABLE = ("JPEG", "PNG", "WebP", "TIFF", "BMP", "GIF", "AVIF")

LFS_POINTER = "a pointer of Git LFS"
COMPANION = "a companion file of macOS that holds no picture"
OTHER_STARTS = {
    b"\0\x05\x16\x07": COMPANION,
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"<svg": "SVG, a drawing",
    b"<?xml": "XML, such as an SVG drawing",
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": LFS_POINTER,
}
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image file.

    Attributes:
        kind: "JPEG", "PNG", "WebP", "TIFF", "BMP", "GIF" or "AVIF", or another format in words, or
            "" if unknown.
        size: (height, width) in pixels as stored, before any turn; None if unknown.
        orientation: 1 to 8 as Exif has it, 1 upright.
        depth: bits per sample.
        progressive: whether all of a file has to be decoded to see its first row.
        tags: of a TIFF file.
    """

    kind: str
    size: tuple[int, int] | None = None
    orientation: int = 1
    depth: int = 8
    progressive: bool = False
    tags: tiff.TiffTags | None = None

    @property
    def readable(self) -> bool:
        """Whether it is of a kind that galago reads."""
        return self.kind in READABLE

    @property
    def upright_size(self) -> tuple[int, int] | None:
        """(height, width) after the turn that the orientation asks for."""
        return self.size[::-1] if self.size and self.orientation in SWAPPED else self.size

    @property
    def turns_silently(self) -> bool:
        """Whether the orientation moves pixels and leaves the size as it is."""
        if self.orientation == 1:
            return False
        return self.orientation not in SWAPPED or (
            self.size is not None and self.size[0] == self.size[1]
        )


def read_header(file: BinaryIO) -> ImageHeader:
    """Read the header of an image file that is open for reading and seekable.

    A damaged one has no size.
    """
    file.seek(0)
    start = file.read(32)
    try:
        header = _read(file, start)
    except (struct.error, IndexError):  # the file ends within its header
        return ImageHeader(_kind(start))
    if header.size and 0 in header.size:
        return replace(header, size=None)
    return header if 1 <= header.orientation <= 8 else replace(header, orientation=1)


def _kind(start: bytes) -> str:
    starts = {
        JPEG_START: "JPEG",
        PNG_START: "PNG",
        b"BM": "BMP",
        b"GIF87a": "GIF",
        b"GIF89a": "GIF",
    }
    for first, kind in (starts | dict.fromkeys(tiff.STARTS, "TIFF")).items():
        if start.startswith(first):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp":
        return _heif_kind(start)
    return next(
        (kind for first, kind in OTHER_STARTS.items() if start.lstrip().startswith(first)), ""
    )


def _heif_kind(start: bytes) -> str:
    brands = [
        start[8:12],
        *(start[place : place + 4] for place in range(16, min(len(start), _u32(start)), 4)),
    ]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return "HEIC" if any(brand in HEIC_BRANDS for brand in brands) else "a video"


def _read(file: BinaryIO, start: bytes) -> ImageHeader:
    kind = _kind(start)
    if kind == "JPEG":
        return _read_jpeg(file)
    if kind == "PNG":
        return _read_png(file)
    if kind == "WebP":
        return _read_webp(file)
    if kind == "TIFF":
        return _read_tiff(file)
    if kind == "BMP":
        old = _u32(start, 14, "<I") == 12
        width, height = struct.unpack_from("<HH" if old else "<ii", start, 18)
        return ImageHeader(kind, (abs(height), abs(width)))
    if kind == "GIF":
        width, height = struct.unpack_from("<HH", start, 6)
        return ImageHeader(kind, (height, width))
    if kind == "AVIF":
        size, orientation = avif.read_picture(file)
        return ImageHeader(kind, size, orientation)
    return ImageHeader(kind)


def _read_jpeg(file: BinaryIO) -> ImageHeader:
    exif, position = b"", len(JPEG_START)
    for _ in range(MOST_BOXES):
        file.seek(position)
        mark, length = struct.unpack(">HH", file.read(4))
        if mark < 0xFF01 or mark == 0xFFFF:  # filling bytes, which decoders pass over
            file.seek(position + 1)
            position += 1 + max(0, file.read(LARGEST_GAP).find(b"\xff"))
            continue
        alone = 0xFFD0 <= mark <= 0xFFD9  # a marker without a length
        if mark == 0xFFDA or (length < 2 and not alone):  # the pixels, or damage
            break
        if 0xFFC0 <= mark <= 0xFFCF and mark not in (0xFFC4, 0xFFC8, 0xFFCC):
            depth, height, width = struct.unpack(">BHH", file.read(5))
            late = mark in (0xFFC2, 0xFFC6, 0xFFCA, 0xFFCE)
            return ImageHeader(
                "JPEG", (height, width), orientation_of(exif), depth, progressive=late
            )
        if mark == 0xFFE1 and not exif:
            block = file.read(length - 2)
            exif = block if block.startswith(EXIF_START) else b""
        position += 2 if alone else 2 + length
    return ImageHeader("JPEG")


def _read_png(file: BinaryIO) -> ImageHeader:
    position, orientation = len(PNG_START), 1
    header = ImageHeader("PNG")
    for _ in range(MOST_BOXES):
        file.seek(position)
        start = file.read(8)
        if len(start) < 8:
            break
        length, kind = struct.unpack(">I4s", start)
        if kind == b"IHDR":
            width, height, depth, _, _, _, interlace = struct.unpack(">IIBBBBB", file.read(13))
            header = ImageHeader("PNG", (height, width), 1, depth, progressive=bool(interlace))
        elif kind == b"eXIf" and length <= LARGEST_EXIF:
            orientation = orientation_of(file.read(length))
        elif kind == b"IEND":
            break
        position += 12 + length
    return replace(header, orientation=orientation)


def _read_webp(file: BinaryIO) -> ImageHeader:
    position, header, orientation = 12, ImageHeader("WebP"), 1
    for _ in range(MOST_BOXES):
        file.seek(position)
        start = file.read(8)
        if len(start) < 8:
            break
        kind, length = struct.unpack("<4sI", start)
        if kind == b"EXIF" and length <= LARGEST_EXIF:
            orientation = orientation_of(file.read(length))
        elif header.size is None and kind in (b"VP8X", b"VP8 ", b"VP8L"):
            header = ImageHeader("WebP", _webp_size(kind, file.read(10)))
        position += 8 + length + length % 2
    return replace(header, orientation=orientation)


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[7:10], "little") + 1, int.from_bytes(body[4:7], "little") + 1
    if kind == b"VP8L":
        bits = _u32(body, 1, "<I")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", body, 6)
    return height & 0x3FFF, width & 0x3FFF


def _read_tiff(file: BinaryIO) -> ImageHeader:
    tags = tiff.read_tags(file)
    if tags is None or tiff.WIDTH not in tags.values or tiff.HEIGHT not in tags.values:
        return ImageHeader("TIFF")
    size = tags.first(tiff.HEIGHT, 0), tags.first(tiff.WIDTH, 0)
    return ImageHeader("TIFF", size, tags.first(tiff.ORIENTATION, 1), tags.bits, tags=tags)


def orientation_of(exif: bytes) -> int:
    """Return the orientation that an Exif block tells, with or without its `Exif` in front.

    1 where it tells none.
    """
    tags = tiff.read_tags(io.BytesIO(exif.removeprefix(EXIF_START)))
    orientation = tags.first(tiff.ORIENTATION, 1) if tags else 1
    return orientation if 1 <= orientation <= 8 else 1


def _u32(data: bytes, position: int = 0, form: str = ">I") -> int:
    number: int = struct.unpack_from(form, data, position)[0]
    return number
