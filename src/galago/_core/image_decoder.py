"""Image files to pixels: the same ones whatever the size, the camera's turn, and the version of
OpenCV.
"""

import io
import re

import cv2
import numpy as np

from galago._core import tiff
from galago._core.image_header import COMPANION, LFS_POINTER, ImageHeader, read_header
from galago._core.isobmff import top_boxes
from galago._core.png import SIGNATURE as PNG_SIGNATURE
from galago._core.png import read_chunks

MAX_PIXELS = (
    1 << 28
)  # that are decoded at once, 268 million: 16,384 x 16,384; RGB takes 0.8 GB, decoding twice that
MAX_SAMPLES = 1 << 30  # bands times pixels; OpenCV decodes no more at once
KINDS = "JPEG, PNG, WebP, TIFF or BMP"
CONVERT = "Save it as JPEG or PNG first, for example by: magick IN OUT.jpg"
ADVICE = {
    LFS_POINTER: "Run: git lfs pull",
    COMPANION: "The picture has the same name without ._ in front",
}

JPEG_START = b"\xff\xd8"
JPEG_MARKER = re.compile(
    rb"\xff[^\x00\x01\xd0-\xd8\xff]"
)  # those that a length follows, and the end
JPEG_END = b"\xff\xd9"
UPRIGHT = (
    cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
)  # versions of OpenCV differ in what they turn


class UnreadableImageError(ValueError):
    """An image file cannot be decoded; the message goes on after the file's name: `is ...`."""


def check_header(header: ImageHeader, *, whole: bool = True) -> None:
    """Refuse what cannot be decoded, or what would fill the memory, by its header alone.

    Args:
        header: of the file.
        whole: whether all of the image is to be decoded at once.
    Raises:
        UnreadableImageError: another kind of file, or more than `MAX_PIXELS` pixels.
    """
    if not header.readable and header.kind:
        advice = ADVICE.get(header.kind, CONVERT)
        raise UnreadableImageError(
            f"is {header.kind}, which galago does not read. Expected {KINDS}. {advice}"
        )
    if not header.readable:
        raise UnreadableImageError(f"is no photo that can be read. Expected {KINDS}.")
    if header.tags and (fault := tiff.describe_fault(header.tags)):
        raise UnreadableImageError(
            f"is {fault}. Expected 8 or 16 bits of gray or RGB. Convert it, for example by: "
            "gdal_translate -ot Byte -scale -co COMPRESS=LZW IN OUT.tif"
        )
    height, width = header.size or (0, 0)
    if whole and height * width > MAX_PIXELS:
        raise UnreadableImageError(
            f"has {height} x {width} pixels, {height * width / 1e6:,.0f} million; at most "
            f"{MAX_PIXELS / 1e6:,.0f} million are "
            "decoded at once. Cut it into smaller images; galago predict reads files in strips, "
            "without this bound, "
            "after: pip install 'galago[large]'"
        )


def decode(data: bytes) -> tuple[np.ndarray, ImageHeader]:
    """Decode an image file, upright, without its transparency.

    Returns:
        (H, W, 3) uint8 RGB, and what the header tells; of 16 bits the upper 8, of many bands the
        first three.
    Raises:
        UnreadableImageError: no image, one that is cut short, or too large.
    """
    header = read_header(io.BytesIO(data))
    check_header(header)
    if fault := describe_damage(data, header):
        raise UnreadableImageError(f"is {fault}. Copy it again from its source.")
    tags, pixels = header.tags, None
    if tags and tiff.is_read_by_band(tags):
        pixels = _decode_bands(data, tags)
    elif header.kind == "AVIF" and header.size:
        pixels = _decode_avif(data)
    elif header.size:
        upright = tiff.without_turn(data, tags) if tags and header.orientation > 1 else data
        pixels = imdecode(upright, UPRIGHT)
    if pixels is None and header.kind in ("AVIF", "GIF"):
        raise UnreadableImageError(
            f"is {header.kind}, which is damaged, or which this OpenCV does not read. {CONVERT}"
        )
    if pixels is None:
        raise UnreadableImageError(f"is no photo that can be read. Expected {KINDS}.")
    return turn(pixels, header.orientation), header


def imdecode(data: bytes, how: int) -> np.ndarray | None:
    """Decode with OpenCV; None where it cannot."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:  # more pixels than OpenCV, or the memory, holds
        return None


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image upright that is stored with an Exif orientation, 1 to 8."""
    if orientation > 4:
        pixels = cv2.transpose(pixels)
    flips = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # axis for OpenCV, by orientation
    return cv2.flip(pixels, flips[orientation]) if orientation in flips else pixels


def _decode_avif(data: bytes) -> np.ndarray | None:
    """Decode an AVIF image: asked for RGB, OpenCV 5.0 gives BGR where there is alpha."""
    pixels = imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _decode_bands(data: bytes, tags: tiff.TiffTags) -> np.ndarray | None:
    """Decode the first three bands of a TIFF as stored, or the first one as gray."""
    height, width = tags.first(tiff.HEIGHT, 0), tags.first(tiff.WIDTH, 0)
    if height * width * tags.bands > MAX_SAMPLES:
        return None
    bands = [
        imdecode(file, cv2.IMREAD_UNCHANGED) for file in tiff.one_band_files(data, tags, most=3)
    ]
    depth = np.uint16 if tags.bits == 16 else np.uint8
    together = [
        band.reshape(height, width, -1)
        for band in bands
        if band is not None and band.dtype == depth
    ]
    if len(together) < len(bands):
        return None
    pixels = np.concatenate(together, axis=2) if len(together) > 1 else together[0]
    pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
    if tiff.is_predicted(
        tags
    ):  # each sample was stored as what it exceeds its left neighbor in the tile by
        step = tags.first(tiff.TILE_WIDTH, width)
        tiles = [
            np.cumsum(pixels[:, left : left + step], axis=1, dtype=depth)
            for left in range(0, width, step)
        ]
        pixels = np.concatenate(tiles, axis=1)
    if tags.first(tiff.PHOTOMETRIC, tiff.BLACK_IS_ZERO) == tiff.WHITE_IS_ZERO:
        pixels = ~pixels
    eight = (pixels >> 8).astype(np.uint8) if tags.bits == 16 else pixels
    return np.ascontiguousarray(np.broadcast_to(eight, (height, width, 3)))


def describe_damage(data: bytes, header: ImageHeader) -> str | None:
    """Say how a file is incomplete; OpenCV would show half an image silently."""
    if data.startswith(PNG_SIGNATURE):
        try:
            kinds = [kind for kind, _ in read_chunks(data)]
        except ValueError as error:
            return f"a PNG that is {error}"
        return None if kinds[0] == b"IHDR" else "a PNG that is damaged"
    if data.startswith(JPEG_START) and not _has_jpeg_end(data):
        return "a JPEG that is cut short"
    if header.kind == "WebP" and 7 + int.from_bytes(data[4:8], "little") > len(data):
        return "a WebP image that is cut short"
    if header.kind == "BMP" and int.from_bytes(data[10:14], "little") + _bmp_bytes(data) > len(
        data
    ):
        return "a BMP image that is cut short"
    if header.kind == "AVIF" and any(end > len(data) for _, _, end in top_boxes(io.BytesIO(data))):
        return "an AVIF image that is cut short"
    if header.kind == "TIFF" and (header.tags is None or tiff.is_cut_short(header.tags, len(data))):
        return "a TIFF that is cut short"
    return None


def _bmp_bytes(data: bytes) -> int:
    """Return how many bytes the pixels of a BMP take at least.

    0 where they are compressed, or the header is an old one.
    """
    if len(data) < 34 or data[14] < 40 or int.from_bytes(data[30:34], "little") not in (0, 3):
        return 0
    width, height = (
        abs(int.from_bytes(data[place : place + 4], "little", signed=True)) for place in (18, 22)
    )
    return (width * int.from_bytes(data[28:30], "little") + 31) // 32 * 4 * height


def _has_jpeg_end(data: bytes) -> bool:
    """Go from marker to marker: what lies in a thumbnail, or behind the end as the video of a
    moving image, does not count.
    """
    position = len(JPEG_START)
    while marker := JPEG_MARKER.search(data, position):
        if marker[0] == JPEG_END:
            return True
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return False
