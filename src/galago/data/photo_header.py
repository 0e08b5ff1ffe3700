"""Size, depth and camera orientation of a photo, read from its first bytes without decoding it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ORIENTATION, WIDTH, HEIGHT, BITS = 274, 256, 257, 258  # tags of TIFF and EXIF
SWAPPED = (5, 6, 7, 8)  # orientations that swap width and height
MAX_SEGMENTS = 1000  # of a JPEG, a PNG or a WebP before its pixels
MAX_EXIF_BYTES = 1 << 20
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF markers


@dataclass(frozen=True)
class PhotoHeader:
    """What the file says of itself.

    Attributes:
        size: (height, width) in pixels as stored, before any turn; None where it is not found.
        orientation: of EXIF, 1 to 8; 1 where there is none.
        bits: per channel; 8 where the file does not say more.
    """

    size: tuple[int, int] | None = None
    orientation: int = 1
    bits: int = 8

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


def read_photo_header(path: Path) -> PhotoHeader:
    """Read the header of a JPEG, PNG, WebP, TIFF or BMP file; of other and damaged files nothing.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(32)
        try:
            if start.startswith(b"\xff\xd8"):
                return _jpeg(file)
            if start.startswith(b"\x89PNG\r\n\x1a\n"):
                return _png(file, start)
            if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
                return _webp(file)
            if start[:4] in (b"II*\0", b"MM\0*"):
                file.seek(0)
                return _from_tags(_tags(file.read(MAX_EXIF_BYTES), file))
            if start.startswith(b"BM"):
                width, height = struct.unpack("<ii", start[18:26])
                return PhotoHeader((abs(height), abs(width)))
        except (struct.error, IndexError):  # cut short
            pass
    return PhotoHeader()


def _jpeg(file: BinaryIO) -> PhotoHeader:
    orientation = 1
    file.seek(2)
    for _ in range(MAX_SEGMENTS):
        marker = file.read(2)
        while marker[1:] == b"\xff":  # fill bytes
            marker = marker[1:] + file.read(1)
        kind, (length,) = marker[1], struct.unpack(">H", file.read(2))
        if length < 2:
            break
        if kind in JPEG_SIZES:
            bits, height, width = struct.unpack(">BHH", file.read(5))
            return PhotoHeader((height, width), orientation, bits)
        if kind == 0xE1:
            data = file.read(length - 2)
            if data.startswith(b"Exif\0\0"):
                orientation = _from_tags(_tags(data[6:])).orientation
        else:
            file.seek(length - 2, 1)
    return PhotoHeader(orientation=orientation)


def _png(file: BinaryIO, start: bytes) -> PhotoHeader:
    width, height, bits = struct.unpack(">IIB", start[16:25])
    file.seek(8)
    for kind, length in _chunks(file, ">I4s"):
        if kind == b"eXIf":
            orientation = _from_tags(_tags(file.read(min(length, MAX_EXIF_BYTES)))).orientation
            return PhotoHeader((height, width), orientation, bits)
        if kind == b"IDAT":
            break
        file.seek(length + 4, 1)  # and the checksum
    return PhotoHeader((height, width), 1, bits)


def _chunks(file: BinaryIO, form: str) -> Iterator[tuple[bytes, int]]:
    """Yield kind and length of each chunk; the reader moves the file on."""
    for _ in range(MAX_SEGMENTS):
        head = file.read(8)
        if len(head) < 8:
            return
        first, second = struct.unpack(form, head)
        yield (second, first) if isinstance(second, bytes) else (first, second)


def _webp(file: BinaryIO) -> PhotoHeader:
    size, orientation = None, 1
    file.seek(12)
    for kind, length in _chunks(file, "<4sI"):
        begin = file.tell()
        if kind == b"VP8X":
            data = file.read(10)
            size = 1 + int.from_bytes(data[7:10], "little"), 1 + int.from_bytes(data[4:7], "little")
        elif kind == b"VP8 " and size is None:
            width, height = struct.unpack("<HH", file.read(10)[6:])
            size = height & 0x3FFF, width & 0x3FFF
        elif kind == b"VP8L" and size is None:
            packed = int.from_bytes(file.read(5)[1:], "little")
            size = 1 + (packed >> 14 & 0x3FFF), 1 + (packed & 0x3FFF)
        elif kind == b"EXIF":
            data = file.read(min(length, MAX_EXIF_BYTES))
            orientation = _from_tags(_tags(data.removeprefix(b"Exif\0\0"))).orientation
        file.seek(begin + length + length % 2)
    return PhotoHeader(size, orientation)


def _from_tags(tags: dict[int, int]) -> PhotoHeader:
    orientation = tags.get(ORIENTATION, 1)
    size = (tags[HEIGHT], tags[WIDTH]) if HEIGHT in tags and WIDTH in tags else None
    return PhotoHeader(size, orientation if 1 <= orientation <= 8 else 1, tags.get(BITS, 8))


def _tags(data: bytes, file: BinaryIO | None = None) -> dict[int, int]:
    """Read the numbers of the first directory of a TIFF file, or of an EXIF block.

    Args:
        data: begin of the file, or the whole block.
        file: the file, where the directory may lie behind `data`.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return {}
    (place,) = struct.unpack(f"{order}I", data[4:8])
    if file and place + 2 > len(data):
        file.seek(place)
        directory = file.read(2 + 12 * 0xFFFF)
    else:
        directory = data[place:]
    (count,) = struct.unpack(f"{order}H", directory[:2])
    tags = {}
    for begin in range(2, min(2 + 12 * count, len(directory) - 11), 12):
        tag, kind, number = struct.unpack(f"{order}HHI", directory[begin : begin + 8])
        value = directory[begin + 8 : begin + 12]
        if kind == 3 and number <= 2:  # SHORT, in the field itself
            (tags[tag],) = struct.unpack(f"{order}H", value[:2])
        elif kind == 4 and number == 1:  # LONG
            (tags[tag],) = struct.unpack(f"{order}I", value)
        elif kind == 3 and tag == BITS and file:  # one SHORT per channel, elsewhere
            file.seek(struct.unpack(f"{order}I", value)[0])
            (tags[tag],) = struct.unpack(f"{order}H", file.read(2))
    return tags
