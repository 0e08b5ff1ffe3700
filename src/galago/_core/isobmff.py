"""Boxes of the ISO base media file format (ISO/IEC 14496-12), which MP4, MOV, HEIC and AVIF files
are made of.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

MOST_BOXES = 1 << 20  # of one file; a fragmented video has two a second


def boxes(data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each box within another one's content, from a position on."""
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1 and start + 16 <= len(data):
            head, length = 16, struct.unpack_from(">Q", data, start + 8)[0]
        end = len(data) if length == 0 else start + length
        if end < start + head:
            return
        yield kind, data[start + head : end]
        start = end


def top_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, first byte of the content and end of each box of a file, up to one that is none.

    The end of a box that is cut short lies beyond the file's.
    """
    length_of_file, start = file.seek(0, os.SEEK_END), 0
    for _ in range(MOST_BOXES):
        if start + 8 > length_of_file:
            return
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            head, length = 16, int.from_bytes(file.read(8))
        elif length == 0:
            length = length_of_file - start
        if length < head or not all(32 <= letter < 127 or letter == 0xA9 for letter in kind):
            return
        yield kind, start + head, start + length
        start += length
