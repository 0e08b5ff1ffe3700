"""Tags of a TIFF file, and copies of one that a decoder reads band by band, without its own idea of
colors.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # small and large numbers first; "+" is BigTIFF
LARGEST_ARRAY = 1 << 24  # bytes of one tag; an image of 2^28 pixels in tiles of 16 x 16 needs 8 MB
MOST_TAGS = 4096
FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of numbers; the others matter to nobody here

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 273, 274, 277, 278, 279
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 284, 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
KNOWN = {
    WIDTH,
    HEIGHT,
    BITS,
    COMPRESSION,
    PHOTOMETRIC,
    FILL_ORDER,
    STRIP_OFFSETS,
    ORIENTATION,
    SAMPLES,
    ROWS_PER_STRIP,
    STRIP_COUNTS,
    PLANAR,
    PREDICTOR,
    TILE_WIDTH,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_COUNTS,
    EXTRA_SAMPLES,
    SAMPLE_FORMAT,
}
SHORTS = (BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, PLANAR, PREDICTOR)

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
ASSOCIATED_ALPHA = 1
READABLE_BITS = (1, 8, 10, 12, 14, 16)  # by OpenCV; 4 as well in a palette
FILM_COLORS = {
    32803: "the raw mosaic of a camera's sensor",
    34892: "the raw colors of a camera's sensor",
}
NO_COMPRESSION, OLD_JPEG, JPEG = 1, 6, 7
READABLE_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)  # what OpenCV's libtiff holds
COMPRESSION_NAMES = {
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
KINDS_OF_NUMBERS = {
    2: "signed integers",
    3: "floating-point numbers",
    5: "complex integers",
    6: "complex numbers",
}


@dataclass(frozen=True)
class TiffTags:
    """Numbers that the first image of a TIFF file is described by.

    Attributes:
        order: "<" where the least significant byte comes first, else ">".
        big: whether it is a BigTIFF file, with offsets of 8 bytes.
        values: of each tag that matters here and holds whole numbers.
        places: position of each such tag's values in the file.
    """

    order: str
    big: bool
    values: Mapping[int, tuple[int, ...]]
    places: Mapping[int, int]

    def first(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return self.values.get(tag, (default,))[0]

    @property
    def bands(self) -> int:
        """Number of samples per pixel, alpha and the like among them."""
        return self.first(SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Bits per sample."""
        return self.first(BITS, 1)


def read_tags(file: BinaryIO, start: int = 0) -> TiffTags | None:
    """Read the tags of the first image of a TIFF file; None where it is damaged or none.

    Args:
        file: open for reading, seekable.
        start: position of the file's first byte, as within an Exif block.
    """
    try:
        return _read_tags(file, start)
    except (struct.error, OverflowError, ValueError):  # cut short, or an offset beyond any file
        return None


def _read_tags(file: BinaryIO, start: int) -> TiffTags | None:
    file.seek(start)
    head = file.read(16)
    if not head.startswith(STARTS):
        return None
    order, big = ("<" if head[:1] == b"I" else ">"), head[2:4] in (b"+\0", b"\0+")
    file.seek(start + struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0])
    count = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))[0]
    inline, entry = (8, struct.Struct(order + "HHQ")) if big else (4, struct.Struct(order + "HHI"))
    length = entry.size + inline
    first = file.tell()
    directory = file.read(min(count, MOST_TAGS) * length)
    values: dict[int, tuple[int, ...]] = {}
    places: dict[int, int] = {}
    for position in range(0, len(directory) - length + 1, length):
        tag, kind, number = entry.unpack_from(directory, position)
        letter = FORMATS.get(kind) if tag in KNOWN else None
        size = number * struct.calcsize(letter) if letter else 0
        if letter is None or not number or size > LARGEST_ARRAY or tag in values:
            continue
        place = position + entry.size
        data = directory[place : place + size]
        if size > inline:
            place = struct.unpack_from(order + ("Q" if big else "I"), directory, place)[0]
            file.seek(start + place)
            data = file.read(size)
            places[tag] = start + place
        else:
            places[tag] = first + place
        values[tag] = struct.unpack(f"{order}{number}{letter}", data)
    return TiffTags(order, big, values, places)


def describe_fault(tags: TiffTags) -> str | None:
    """Say why the first image of a TIFF file cannot be read as a picture, or None where it can."""
    compression, photometric = (
        tags.first(COMPRESSION, NO_COMPRESSION),
        tags.first(PHOTOMETRIC, BLACK_IS_ZERO),
    )
    kind = KINDS_OF_NUMBERS.get(tags.first(SAMPLE_FORMAT, 1))
    if kind:
        return f"a TIFF of {tags.bits}-bit {kind}"
    if tags.bits not in READABLE_BITS and (tags.bits, photometric) != (4, PALETTE):
        return f"a TIFF of {tags.bits}-bit integers"
    if len(set(tags.values.get(BITS, ()))) > 1:
        return (
            "a TIFF whose bands have different depths, "
            f"{', '.join(map(str, tags.values[BITS]))} bits"
        )
    if photometric in FILM_COLORS:
        return f"a TIFF with {FILM_COLORS[photometric]}"
    if tags.bits == 16 and photometric > RGB:
        return "a TIFF of 16 bits that is neither gray nor RGB"
    if compression not in READABLE_COMPRESSIONS:
        name = COMPRESSION_NAMES.get(compression, f"method {compression}")
        return f"a TIFF that is compressed by {name}, not by LZW or Deflate"
    if compression in (OLD_JPEG, JPEG) and photometric <= RGB and is_read_by_band(tags):
        return f"a TIFF of {tags.bands} bands that is compressed as JPEG, not by LZW or Deflate"
    return None


def is_cut_short(tags: TiffTags, length: int) -> bool:
    """Tell whether pixels of the first image lie beyond the end of a file of so many bytes."""
    for offsets, counts in ((STRIP_OFFSETS, STRIP_COUNTS), (TILE_OFFSETS, TILE_COUNTS)):
        places, sizes = tags.values.get(offsets, ()), tags.values.get(counts, ())
        if any(place + size > length for place, size in zip(places, sizes, strict=False)):
            return True
    return False


def is_plain(tags: TiffTags) -> bool:
    """Tell whether pixels are RGB or gray as stored, so that every decoder finds the same ones."""
    photometric, jpeg = tags.first(PHOTOMETRIC, -1), tags.first(COMPRESSION, 1) == JPEG
    return tags.bits in (8, 16) and (
        photometric in (BLACK_IS_ZERO, RGB) or (photometric == YCBCR and jpeg)
    )


def is_misread_by_libvips(tags: TiffTags) -> bool:
    """Tell whether libvips 8.18 gives other pixels than stored: it divides by alpha, and mixes up
    planes of gray.
    """
    planes = tags.first(PLANAR, 1) == 2 and tags.bands > 1 and tags.first(PHOTOMETRIC, RGB) != RGB
    return planes or ASSOCIATED_ALPHA in tags.values.get(EXTRA_SAMPLES, ())


def is_read_by_band(tags: TiffTags) -> bool:
    """Tell whether OpenCV would mix bands, or leave some out: alpha, infrared, bands of "gray",
    some files of 16 bits.
    """
    photometric = tags.first(PHOTOMETRIC, BLACK_IS_ZERO)
    if photometric > RGB or tags.bits not in (8, 16):
        return False
    return tags.bits == 16 or tags.bands > 3 or (photometric != RGB and tags.bands > 1)


def is_predicted(tags: TiffTags) -> bool:
    """Tell whether samples are stored as differences, which LZW and Deflate make the most of."""
    return tags.first(PREDICTOR, 1) == 2 and tags.first(COMPRESSION, 1) in (5, 8, 32946)


def without_turn(data: bytes, tags: TiffTags) -> bytes:
    """Return a file whose orientation is 1, upright; some decoders turn by it, others do not."""
    place = tags.places[ORIENTATION]
    return data[:place] + struct.pack(tags.order + "H", 1) + data[place + 2 :]


def one_band_files(data: bytes, tags: TiffTags, most: int) -> list[bytes]:
    """Return files of one gray band each, which every decoder gives as stored.

    Pixels of several bands that lie next to each other become one row of gray pixels, `bands` times
    as wide; those that lie in planes become one file a plane, of which there are `most` at most.
    `Predictor` is left out: the caller adds up.
    """
    if tags.first(PLANAR, 1) == 2 and tags.bands > 1:
        return [_gray_file(data, tags, plane=plane) for plane in range(min(most, tags.bands))]
    return [_gray_file(data, tags)]


def _gray_file(data: bytes, tags: TiffTags, plane: int | None = None) -> bytes:
    wider = 1 if plane is not None else tags.bands
    new = {
        tag: tags.values[tag]
        for tag in (HEIGHT, COMPRESSION, FILL_ORDER, ROWS_PER_STRIP, TILE_HEIGHT)
        if tag in tags.values
    }
    new |= {BITS: (tags.bits,), PHOTOMETRIC: (BLACK_IS_ZERO,), SAMPLES: (1,), PLANAR: (1,)}
    new |= {
        tag: (tags.values[tag][0] * wider,) for tag in (WIDTH, TILE_WIDTH) if tag in tags.values
    }
    for tag in (STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS):
        if tag in tags.values:
            every = tags.values[tag]
            count = len(every) // tags.bands
            new[tag] = every if plane is None else every[plane * count : (plane + 1) * count]
    return _with_directory(data, tags, new)


def _with_directory(data: bytes, tags: TiffTags, new: Mapping[int, Sequence[int]]) -> bytes:
    """Return a file with a directory of its own behind its end."""
    order, big = tags.order, tags.big
    number, inline = ("Q", 8) if big else ("I", 4)
    start = len(data) + len(data) % 2
    tail = start + (8 if big else 2) + len(new) * (20 if big else 12) + inline
    directory, arrays = struct.pack(order + ("Q" if big else "H"), len(new)), b""
    for tag, values in sorted(new.items()):
        letter = "H" if tag in SHORTS else number
        body = struct.pack(f"{order}{len(values)}{letter}", *values)
        kind = {"H": 3, "I": 4, "Q": 16}[letter]
        directory += struct.pack(f"{order}HH{number}", tag, kind, len(values))
        if len(body) <= inline:
            directory += body.ljust(inline, b"\0")
        else:
            directory += struct.pack(order + number, tail + len(arrays))
            arrays += body + b"\0" * (len(body) % 2)
    directory += bytes(inline)  # no further image
    place = 8 if big else 4
    head = data[:place] + struct.pack(order + number, start) + data[place + inline :]
    return head + b"\0" * (len(data) % 2) + directory + arrays
