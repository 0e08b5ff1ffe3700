"""Image and video files drawn by hand, with what encoders do not write: orientations, bands, times."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def exif(orientation: int) -> bytes:
    """Return an Exif block, without its `Exif` in front, that tells an orientation."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 274, 3, 1, orientation, 0) + bytes(4)


def encode(suffix: str, rgb: np.ndarray, settings: Sequence[int] = ()) -> bytes:
    return cv2.imencode(suffix, rgb[..., ::-1], settings)[1].tobytes()


def jpeg(rgb: np.ndarray, orientation: int) -> bytes:
    data, block = (
        encode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 100]),
        b"Exif\0\0" + exif(orientation),
    )
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rgb: np.ndarray, orientation: int, *, late: bool = False) -> bytes:
    data, chunk = encode(".png", rgb), png_chunk(b"eXIf", exif(orientation))
    place = len(data) - 12 if late else 33  # before the end, or behind the header
    return data[:place] + chunk + data[place:]


def webp(rgb: np.ndarray, orientation: int) -> bytes:
    body = encode(".webp", rgb, [cv2.IMWRITE_WEBP_QUALITY, 101])[12:]  # above 100: without loss
    height, width = rgb.shape[:2]
    flags = (
        bytes([0b1000, 0, 0, 0])
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    block = exif(orientation)
    parts = (
        b"VP8X"
        + struct.pack("<I", 10)
        + flags
        + body
        + b"EXIF"
        + struct.pack("<I", len(block))
        + block
    )
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


def tiff(
    pixels: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    planar: int = 1,
    **tags: Sequence[int],
) -> bytes:
    """Return an uncompressed TIFF of one strip, or one per plane.

    Args:
        pixels: (H, W) or (H, W, bands).
        photometric: 1 gray, 2 RGB.
        order: "<" or ">", of bytes.
        planar: 2 puts one band behind the other.
        tags: more of them, as `t338=[0]`.
    """
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, bands = pixels.shape
    stored = pixels if planar == 1 else pixels.transpose(2, 0, 1)
    data = stored.astype(pixels.dtype.newbyteorder(order)).tobytes()
    strips = bands if planar == 2 else 1
    size = len(data) // strips
    values: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [pixels.itemsize * 8] * bands), 259: ("H", [1]),
        262: ("H", [photometric]), 273: ("I", [8 + number * size for number in range(strips)]), 277: ("H", [bands]),
        278: ("I", [height]), 279: ("I", [size] * strips), 284: ("H", [planar]),
    }  # fmt: skip
    values |= {int(name[1:]): ("H", numbers) for name, numbers in tags.items()}
    start = 8 + len(data) + len(data) % 2
    tail, arrays, directory = (
        start + 2 + 12 * len(values) + 4,
        b"",
        struct.pack(order + "H", len(values)),
    )
    for tag, (letter, numbers) in sorted(values.items()):
        body = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        directory += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[letter], len(numbers))
        if len(body) > 4:
            directory += struct.pack(order + "I", tail + len(arrays))
            arrays += body + b"\0" * (len(body) % 2)
        else:
            directory += body.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return head + data + b"\0" * (len(data) % 2) + directory + bytes(4) + arrays


def box(kind: bytes, body: bytes) -> bytes:
    """Return one box of an MP4 or AVIF file."""
    return struct.pack(">I4s", len(body) + 8, kind) + body


def matroska(
    path: Path,
    times_ms: Sequence[int],
    *,
    duration_ms: float | None = None,
    live: bool = False,
    default_ns: int = 0,
) -> Path:
    """Write a Matroska file of a white bar that moves 3 pixels a frame to the right, each frame at
    a time of its own.
    """

    def element(kind: str, body: bytes) -> bytes:
        return bytes.fromhex(kind) + struct.pack(">Q", len(body) | 1 << 56) + body

    def number(kind: str, value: int) -> bytes:
        return element(kind, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))

    info = number("2AD7B1", 1_000_000) + element("4D80", b"me") + element("5741", b"me")
    if duration_ms is not None:
        info += element("4489", struct.pack(">d", duration_ms))
    track = number("D7", 1) + number("73C5", 1) + number("83", 1) + element("86", b"V_MJPEG")
    track += (number("23E383", default_ns) if default_ns else b"") + element(
        "E0", number("B0", 96) + number("BA", 64)
    )
    body = element("1549A966", info) + element("1654AE6B", element("AE", track))
    for index, time_ms in enumerate(times_ms):
        image = np.full((64, 96, 3), 40, np.uint8)
        image[:, 3 * index % 96 : 3 * index % 96 + 8] = 200
        block = b"\x81" + struct.pack(">hB", 0, 0x80) + encode(".jpg", image)
        body += element("1F43B675", number("E7", int(time_ms)) + element("A3", block))
    head = element(
        "1A45DFA3",
        number("4286", 1) + number("42F7", 1) + number("42F2", 4) + number("42F3", 8) + element("4282", b"matroska")
        + number("4287", 2) + number("4285", 2),
    )  # fmt: skip
    size = b"\x01" + b"\xff" * 7 if live else struct.pack(">Q", len(body) | 1 << 56)
    path.write_bytes(head + bytes.fromhex("18538067") + size + body)
    return path
