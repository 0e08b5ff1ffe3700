"""PNG files, chunk by chunk: what OpenCV does not do with palettes, and not with images that are
larger than the memory.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from galago.labels import Color

SIGNATURE = b"\x89PNG\r\n\x1a\n"
INDEXED, GRAY = 3, 0  # color types


class IndexedPNG:
    """Writes class ids as an indexed PNG, rows by rows."""

    def __init__(self, file: BinaryIO, size: tuple[int, int], palette: Sequence[Color]) -> None:
        """Write the header.

        Args:
            file: open for writing; stays open.
            size: (height, width) in pixels.
            palette: one color per class.
        """
        colors = np.zeros((256, 3), np.uint8)
        colors[: len(palette)] = palette
        header = struct.pack(">IIBBBBB", size[1], size[0], 8, INDEXED, 0, 0, 0)
        file.write(SIGNATURE + pack_chunk(b"IHDR", header) + pack_chunk(b"PLTE", colors.tobytes()))
        self._file, self._packer = file, zlib.compressobj(level=1)

    def write(self, labels: np.ndarray) -> None:
        """Add the next rows, (n, W) uint8 ids."""
        rows = np.zeros(
            (labels.shape[0], labels.shape[1] + 1), np.uint8
        )  # PNG starts each row with its filter, 0 = none
        rows[:, 1:] = labels
        self._put(self._packer.compress(rows.data))

    def close(self) -> None:
        """Write the end, after the last row."""
        self._put(self._packer.flush())
        self._file.write(pack_chunk(b"IEND", b""))

    def _put(self, packed: bytes) -> None:
        if packed:
            self._file.write(pack_chunk(b"IDAT", packed))


def pack_chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk: length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of each chunk of a PNG up to its end.

    Raises:
        ValueError: the file is cut short, or the checksum of a chunk that matters is wrong.
    """
    kind, position = b"", len(SIGNATURE)
    while kind != b"IEND":
        start = position + 8
        if start > len(data):
            raise ValueError("cut short")
        length, kind = struct.unpack(">I4s", data[position:start])
        body, position = data[start : start + length], start + length + 4
        if position > len(data):
            raise ValueError("cut short")
        if kind[:1].isupper() and data[position - 4 : position] != struct.pack(
            ">I", zlib.crc32(kind + body)
        ):
            raise ValueError("damaged")
        yield kind, body


def indexed_as_gray(data: bytes) -> tuple[bytes, int]:
    """Turn an indexed PNG into a gray one, whose gray values tell the ids.

    OpenCV would look up the colors and lose them.

    Returns:
        the PNG file, and the largest id that its bit depth can hold (a decoder spreads these over 0
        to 255).
    """
    depth, color_type = data[24], data[25]
    if color_type not in (INDEXED, GRAY) or depth > 8:
        return data, 255
    chunks = [SIGNATURE]
    for kind, body in read_chunks(data):
        if kind == b"IHDR":
            body = body[:9] + bytes([GRAY]) + body[10:]
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            chunks.append(pack_chunk(kind, body))
    return b"".join(chunks), 2**depth - 1
