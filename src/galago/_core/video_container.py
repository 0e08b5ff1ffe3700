"""Whether a video file is whole, and how many frames it holds for sure: read from its container,
nothing is decoded.
"""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from galago._core.isobmff import boxes, top_boxes

LARGEST_INDEX = 1 << 28  # bytes of an MP4's moov; 24 hours have some 50 MB
TRIMMED = 0.98  # of a video's length: an edit list that shows less hides frames
MOST_ELEMENTS = 1 << 22
WHOLE = 0.9  # of a file, up to which zeros at its end may be padding

# Elements of Matroska, https://www.rfc-editor.org/rfc/rfc9559: all of a video, and those that hold
# frames
SEGMENT, WITH_FRAMES = (
    0x18538067,
    (0x1F43B675, 0xA0, 0xA3),
)  # the latter cluster, block group, simple block


@dataclass(frozen=True)
class Container:
    """What the container of a video file tells.

    Attributes:
        cut: whether the file ends before its container says so, or holds something else in between.
        frames: frames to be shown, None where the container does not count them.
    """

    cut: bool = False
    frames: int | None = None


def read_container(file: BinaryIO) -> Container:
    """Read the container of a video file that is open for reading and seekable.

    Of an unknown one nothing is known.
    """
    file.seek(0)
    start = file.read(12)
    try:
        if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _read_mp4(file)
        if start.startswith(b"\x1a\x45\xdf\xa3"):
            return Container(cut=_is_matroska_cut(file))
        if start[:4] == b"RIFF" and start[8:] == b"AVI ":
            return Container(cut=_is_avi_cut(file))
    except (struct.error, IndexError, KeyError, ZeroDivisionError):
        return Container()
    return Container()


def _read_mp4(file: BinaryIO) -> Container:
    length, cut, frames = file.seek(0, os.SEEK_END), False, None
    for kind, start, end in top_boxes(file):
        cut |= kind in (b"moov", b"mdat", b"moof") and end > length
        if kind == b"moov" and end - start <= LARGEST_INDEX:
            file.seek(start)
            frames = _mp4_frames(file.read(end - start))
    return Container(cut, frames)


def _mp4_frames(moov: bytes) -> int | None:
    """Count the samples of the first video track.

    None where an edit list hides some, or they are counted elsewhere.
    """
    movie_clock = struct.unpack_from(
        ">I", dict(boxes(moov))[b"mvhd"], 20 if dict(boxes(moov))[b"mvhd"][0] else 12
    )[0]
    for kind, body in boxes(moov):
        media = dict(boxes(dict(boxes(body)).get(b"mdia", b""))) if kind == b"trak" else {}
        if media.get(b"hdlr", b"")[8:12] != b"vide":
            continue
        wide = media[b"mdhd"][0] > 0
        clock, ticks = struct.unpack_from(
            ">IQ" if wide else ">II", media[b"mdhd"], 20 if wide else 12
        )
        tables = dict(boxes(dict(boxes(media[b"minf"]))[b"stbl"]))
        count = struct.unpack_from(">I", tables.get(b"stsz") or tables[b"stz2"], 8)[0]
        edits = dict(boxes(dict(boxes(body)).get(b"edts", b""))).get(b"elst")
        shown = _shown_ticks(edits) / movie_clock if edits else ticks / clock
        return count if count and shown >= TRIMMED * ticks / clock else None
    return None


def _shown_ticks(edits: bytes) -> int:
    """Sum up how long the parts of an edit list are, pauses left out."""
    entry = struct.Struct(">Qq" if edits[0] else ">Ii")
    count, total = struct.unpack_from(">I", edits, 4)[0], 0
    for place in range(
        8, min(len(edits), 8 + count * (entry.size + 4)) - entry.size + 1, entry.size + 4
    ):
        ticks, first = entry.unpack_from(edits, place)
        total += ticks if first >= 0 else 0
    return total


def _is_avi_cut(file: BinaryIO) -> bool:
    """Go from one part of an AVI file to the next: it has another one every gigabyte."""
    length, start = file.seek(0, os.SEEK_END), 0
    while start + 12 <= length:
        file.seek(start)
        name, size = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            return False
        start += 8 + size + size % 2
    return start > length + 1  # some writers leave out the last filling byte


def _is_matroska_cut(file: BinaryIO) -> bool:
    """Go from element to element.

    Those of unknown size, as live recorders write, are stepped into.
    """
    length = file.seek(0, os.SEEK_END)
    position, end = 0, length
    for _ in range(MOST_ELEMENTS):
        if position >= end:
            return False
        file.seek(position)
        head = file.read(12)
        try:
            kind, width = _ebml_number(head, 0, keep_marker=True)
            size, more = _ebml_number(head, width, keep_marker=False)
        except IndexError:  # zeros, as a download that was broken off leaves them
            return position < WHOLE * end
        position += width + more
        unknown = size == (1 << 7 * more) - 1
        if kind == SEGMENT:
            end = length if unknown else position + size
        elif not unknown:
            position += size
            if position > length:
                return kind in WITH_FRAMES
    return False


def _ebml_number(data: bytes, place: int, *, keep_marker: bool) -> tuple[int, int]:
    """Return a number of variable width, and that width in bytes."""
    width = 9 - data[place].bit_length()
    if width > 8 or place + width > len(data):
        raise IndexError
    number = int.from_bytes(data[place : place + width])
    return (number if keep_marker else number & ((1 << 7 * width) - 1)), width
