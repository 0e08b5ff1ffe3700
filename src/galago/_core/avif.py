"""Size and turn of the main picture of an AVIF file."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from galago._core.isobmff import boxes, top_boxes

LARGEST_META = 1 << 22  # bytes

# Orientation by rotation (quarters against the clock) and mirror (0 top to bottom, 1 left to
# right), as avifImageIrotImirToExifOrientation has it: libavif, src/exif.c
TURNS = {
    (0, None): 1,
    (1, None): 8,
    (2, None): 3,
    (3, None): 6,
    (0, 0): 4,
    (1, 0): 5,
    (2, 0): 2,
    (3, 0): 7,
    (0, 1): 2,
    (1, 1): 7,
    (2, 1): 4,
    (3, 1): 5,
}


def read_picture(file: BinaryIO) -> tuple[tuple[int, int] | None, int]:
    """Return (height, width) as stored, None where the file tells none, and the orientation, 1 to 8
    as Exif has it.

    By the format's rules (ISO/IEC 23000-22) the boxes `irot` and `imir` turn a picture; an Exif
    block inside does not.

    Raises:
        struct.error: the file is damaged.
        IndexError: the same.
    """
    meta = next(((start, end) for kind, start, end in top_boxes(file) if kind == b"meta"), None)
    if meta is None:
        return None, 1
    file.seek(meta[0])
    content = dict(boxes(file.read(min(meta[1] - meta[0], LARGEST_META)), 4))
    properties = dict(boxes(content.get(b"iprp", b"")))
    listed = list(boxes(properties.get(b"ipco", b"")))
    size: tuple[int, int] | None = None
    rotation, mirror = 0, None
    for index in _properties_of(_main_item(content), properties.get(b"ipma", b"")):
        kind, value = listed[index - 1] if 1 <= index <= len(listed) else (b"", b"")
        if kind == b"ispe":
            width, height = struct.unpack_from(">II", value, 4)
            size = height, width
        elif kind == b"irot":
            rotation = value[0] & 3
        elif kind == b"imir":
            mirror = value[0] & 1
    return size, TURNS[rotation, mirror]


def _main_item(content: dict[bytes, bytes]) -> int:
    body = content.get(b"pitm", bytes(4) + b"\0\1")
    item: int = struct.unpack_from(">I" if body[0] else ">H", body, 4)[0]
    return item


def _properties_of(item: int, body: bytes) -> Iterator[int]:
    """Yield the indexes, 1 for the first, of the properties of an item."""
    if len(body) < 8:
        return
    wide_items, wide_indexes = body[0] > 0, body[3] & 1
    entries, position = struct.unpack_from(">I", body, 4)[0], 8
    for _ in range(min(entries, len(body))):
        number = struct.unpack_from(">I" if wide_items else ">H", body, position)[0]
        position += 4 if wide_items else 2
        count = body[position]
        position += 1
        for _ in range(count):
            index = struct.unpack_from(">H" if wide_indexes else ">B", body, position)[0]
            position += 2 if wide_indexes else 1
            if number == item:
                yield index & (0x7FFF if wide_indexes else 0x7F)
