from pathlib import Path

import cv2
import numpy as np
import pytest

from galago import image
from galago._core.image_header import ImageHeader

PIXELS = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3)


def exif(orientation: int, order: str = "little") -> bytes:
    """Return a TIFF block of one tag, 274."""
    head = (b"II*\0" if order == "little" else b"MM\0*") + (8).to_bytes(4, order)
    entry = b"".join(
        number.to_bytes(size, order)
        for number, size in ((274, 2), (3, 2), (1, 4), (orientation, 2), (0, 2))
    )
    return head + (1).to_bytes(2, order) + entry + bytes(4)


def write_jpeg(
    path: Path, orientation: int, pixels: np.ndarray = PIXELS, order: str = "little"
) -> Path:
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    block = b"Exif\0\0" + exif(orientation, order)
    path.write_bytes(
        data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
    )
    return path


def seen(path: Path) -> tuple[tuple[int, int] | None, int, int]:
    header = image.read_header(path)
    return header.size, header.orientation, header.depth


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_after_the_turn_is_that_of_the_loaded_photo(
    tmp_path: Path, orientation: int, order: str
):
    path = write_jpeg(tmp_path / "a.jpg", orientation, order=order)
    header = image.read_header(path)
    assert (header.size, header.orientation, header.depth) == ((4, 6), orientation, 8)
    assert header.upright_size == image.load(path).shape[:2]
    assert header.turns_silently == (orientation in (2, 3, 4))


def test_every_turn_of_a_square_is_silent(tmp_path: Path):
    square = np.zeros((4, 4, 3), np.uint8)
    found = [
        image.read_header(write_jpeg(tmp_path / "a.jpg", turn, square)).turns_silently
        for turn in range(1, 9)
    ]
    assert found == [False] + [True] * 7


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (300, 17)])
def test_sizes_of_all_kinds_of_files(tmp_path: Path, suffix: str, size: tuple[int, int]):
    path = tmp_path / f"a{suffix}"
    cv2.imencode(suffix, np.zeros((*size, 3), np.uint8))[1].tofile(path)
    assert seen(path) == (size, 1, 8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_told(tmp_path: Path, suffix: str, channels: int):
    path = tmp_path / f"a{suffix}"
    cv2.imencode(suffix, np.zeros((4, 6, channels), np.uint16))[1].tofile(path)
    assert seen(path) == ((4, 6), 1, 16)


def test_orientation_of_png_and_webp(tmp_path: Path):
    png = cv2.imencode(".png", PIXELS)[1].tobytes()
    block = exif(3)
    chunk = len(block).to_bytes(4, "big") + b"eXIf" + block + bytes(4)
    (tmp_path / "a.png").write_bytes(png[:33] + chunk + png[33:])
    assert seen(tmp_path / "a.png") == ((4, 6), 3, 8)
    body = b"VP8X" + (10).to_bytes(4, "little") + bytes([8, 0, 0, 0, 5, 0, 0, 3, 0, 0])
    body += b"EXIF" + len(block).to_bytes(4, "little") + block
    (tmp_path / "a.webp").write_bytes(
        b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body
    )
    assert seen(tmp_path / "a.webp") == ((4, 6), 3, 8)


def test_damaged_files_of_any_length_say_nothing_and_end(tmp_path: Path):
    path = tmp_path / "a"
    for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp"):
        data = bytearray(cv2.imencode(suffix, PIXELS)[1].tobytes())
        for cut in range(0, len(data), 3):
            path.write_bytes(data[:cut])
            image.read_header(path)
        random = np.random.default_rng(0)
        for _ in range(50):
            damaged = bytearray(data)
            damaged[4 + random.integers(len(data) - 4)] = random.integers(256)
            damaged[4 + random.integers(len(data) - 4)] = random.integers(256)
            path.write_bytes(damaged)
            image.read_header(path)
    path.write_bytes(b"\xff\xd8\xff\xe1\0\0" + b"\xff" * 50)
    assert image.read_header(path) == ImageHeader("JPEG")
