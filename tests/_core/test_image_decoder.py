import contextlib
import importlib.util
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import drawn_images as draw
import numpy as np
import pytest

from galago import image as images
from galago._core import avif
from galago._core.image_decoder import MAX_PIXELS
from galago._core.image_header import read_header
from galago.errors import DataError, ImageError
from galago.runtime.tiling.row_reader import FileRowReader, image_size

VIPS = importlib.util.find_spec("pyvips") is not None
ROWS, COLUMNS = np.indices((40, 56))
UPRIGHT = np.stack([4 * COLUMNS, 6 * ROWS, 2 * (ROWS + COLUMNS)], -1).astype(np.uint8)
# what a camera stores of an upright picture, by the orientation that it notes: Exif 2.32, 4.6.4
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: UPRIGHT.swapaxes(0, 1)[::-1],
    7: UPRIGHT.swapaxes(0, 1)[::-1, ::-1],
    8: UPRIGHT.swapaxes(0, 1)[:, ::-1],
}
WRITERS: dict[str, Callable[[np.ndarray, int], bytes]] = {
    "jpg": draw.jpeg,
    "png": draw.png,
    "late.png": lambda rgb, orientation: draw.png(rgb, orientation, late=True),
    "webp": draw.webp,
    "tif": lambda rgb, orientation: draw.tiff(rgb, 2, t274=[orientation]),
    "16.tif": lambda rgb, orientation: draw.tiff(
        rgb.astype(np.uint16) * 257, 2, t274=[orientation], order=">"
    ),
    "alpha.tif": lambda rgb, orientation: draw.tiff(
        np.dstack([rgb, rgb[..., 0]]), 2, t274=[orientation], t338=[2]
    ),
}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def strips(path: Path) -> np.ndarray:
    source = FileRowReader(path)
    return np.concatenate(
        [source.read(min(7, source.size[0] - top)) for top in range(0, source.size[0], 7)]
    )


# --- turned by the camera ---


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", WRITERS)
def test_an_image_is_upright_whatever_its_format_and_reader(
    tmp_path: Path, kind: str, orientation: int
):
    path = write(
        tmp_path / f"a.{kind}",
        WRITERS[kind](np.ascontiguousarray(STORED[orientation]), orientation),
    )
    assert images.read_header(path).orientation == orientation
    loaded = images.load(path)
    np.testing.assert_allclose(loaded, UPRIGHT, atol=12 if kind == "jpg" else 0)
    if VIPS:
        np.testing.assert_allclose(strips(path), loaded, atol=1)
        assert image_size(path) == (40, 56)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(tmp_path: Path, kind: str, orientation: int):
    path = write(tmp_path / f"a.{kind}", WRITERS[kind](UPRIGHT, orientation))
    np.testing.assert_allclose(images.load(path), UPRIGHT, atol=12 if kind == "jpg" else 0)


@pytest.mark.parametrize(
    ("properties", "orientation"),
    [
        ([], 1),
        ([b"irot\x01"], 8),
        ([b"irot\x02"], 3),
        ([b"irot\x03"], 6),
        ([b"imir\x00"], 4),
        ([b"imir\x01"], 2),
    ],
)
def test_an_avif_is_turned_by_its_own_boxes(properties: list[bytes], orientation: int):
    boxes = [draw.box(b"ispe", bytes(4) + struct.pack(">II", 56, 40))]
    boxes += [draw.box(value[:4], value[4:]) for value in properties]
    other = draw.box(b"irot", b"\x01")  # of another item
    links = (
        bytes(4)
        + struct.pack(">IHBBHB", 2, 9, 1, len(boxes) + 1, 1, len(boxes))
        + bytes(range(1, len(boxes) + 1))
    )
    parts = draw.box(b"ipco", b"".join(boxes) + other) + draw.box(b"ipma", links)
    meta = draw.box(
        b"meta", bytes(4) + draw.box(b"pitm", bytes(4) + b"\0\1") + draw.box(b"iprp", parts)
    )
    file = io.BytesIO(draw.box(b"ftyp", b"avif\0\0\0\0avifmif1") + meta)
    assert avif.read_picture(file) == ((40, 56), orientation)
    header = read_header(file)
    assert (header.kind, header.size, header.orientation) == ("AVIF", (40, 56), orientation)


def test_an_avif_with_alpha_keeps_red_and_blue_apart(tmp_path: Path):
    pillow = pytest.importorskip("PIL.Image")
    red = np.zeros((16, 24, 4), np.uint8)
    red[..., 0], red[..., 3] = 250, 40
    try:
        pillow.fromarray(red).save(tmp_path / "a.avif", quality=100)
        loaded = images.load(tmp_path / "a.avif")
    except (KeyError, OSError, ImageError):
        pytest.skip("Pillow or OpenCV has no AVIF here")
    np.testing.assert_allclose(loaded, red[..., :3], atol=4)


def test_a_git_lfs_pointer_is_told_with_the_command_that_helps(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(ImageError, match=r"is a pointer of Git LFS, .* Run: git lfs pull$"):
        images.load(tmp_path / "a.jpg")


def test_an_avif_that_pillow_turned_comes_upright(tmp_path: Path):
    pillow = pytest.importorskip("PIL.Image")
    try:
        pillow.fromarray(UPRIGHT).save(tmp_path / "a.avif")
        images.load(tmp_path / "a.avif")
    except (KeyError, OSError, ImageError):
        pytest.skip("Pillow or OpenCV has no AVIF here")
    for orientation, stored in STORED.items():
        tag = pillow.Exif()
        tag[274] = orientation
        pillow.fromarray(np.ascontiguousarray(stored)).save(
            tmp_path / "a.avif", exif=tag, quality=100
        )
        np.testing.assert_allclose(images.load(tmp_path / "a.avif"), UPRIGHT, atol=12)


# --- bands ---

INFRARED = np.where(COLUMNS < 28, 0, 255).astype(np.uint8)
FOUR, FIVE = np.dstack([UPRIGHT, INFRARED]), np.dstack([UPRIGHT, INFRARED, INFRARED])
RGB, GRAY = 2, 1
BANDS = {
    "infrared called alpha": (FOUR, RGB, {"t338": [2]}),
    "infrared called premultiplied alpha": (FOUR, RGB, {"t338": [1]}),
    "infrared": (FOUR, RGB, {"t338": [0]}),
    "four gray": (FOUR, GRAY, {"t338": [0, 0, 0]}),
    "three gray": (UPRIGHT, GRAY, {"t338": [0, 0]}),
    "five": (FIVE, RGB, {"t338": [0, 0]}),
    "five gray": (FIVE, GRAY, {"t338": [0] * 4}),
    "four planes": (FOUR, RGB, {"t338": [0], "planar": 2}),
    "five planes": (FIVE, GRAY, {"t338": [0] * 4, "planar": 2}),
    "three planes": (UPRIGHT, RGB, {"planar": 2}),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", BANDS)
def test_bands_of_a_tiff_come_as_stored_in_both_readers(
    tmp_path: Path, name: str, depth: int, order: str
):
    pixels, photometric, tags = BANDS[name]
    stored = pixels.astype(np.uint16) * 256 + 77 if depth == 16 else pixels
    path = write(tmp_path / "a.tif", draw.tiff(stored, photometric, order=order, **tags))
    assert np.array_equal(images.load(path), UPRIGHT)
    if VIPS:
        assert np.array_equal(strips(path), UPRIGHT)


@pytest.mark.parametrize("depth", [8, 16])
def test_gray_with_alpha_is_gray_as_stored(tmp_path: Path, depth: int):
    pixels = np.dstack([UPRIGHT[..., 0], INFRARED])
    stored = pixels.astype(np.uint16) * 257 if depth == 16 else pixels
    path = write(tmp_path / "a.tif", draw.tiff(stored, GRAY, t338=[2]))
    assert np.array_equal(images.load(path), UPRIGHT[..., [0, 0, 0]])


@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiff_whose_zero_is_white_is_not_a_negative(tmp_path: Path, depth: int):
    pixels = UPRIGHT[..., 0] if depth == 8 else UPRIGHT[..., 0].astype(np.uint16) * 257
    path = write(tmp_path / "a.tif", draw.tiff(~pixels, 0))
    assert np.array_equal(images.load(path), UPRIGHT[..., [0, 0, 0]])


@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressed_bands_come_as_stored(tmp_path: Path, dtype: type, compression: str, tile: bool):
    pyvips = pytest.importorskip("pyvips")
    big = np.tile(FIVE, (4, 3, 1))  # several strips, and tiles that the image does not fill
    stored = big.astype(np.uint16) * 257 if dtype is np.uint16 else big
    settings = {"tile": tile, "tile_width": 64, "tile_height": 48} if tile else {}
    predictor = "none" if compression == "packbits" else "horizontal"
    path = tmp_path / "a.tif"
    pyvips.Image.new_from_array(stored).write_to_file(
        str(path), compression=compression, predictor=predictor, **settings
    )
    assert np.array_equal(images.load(path), big[..., :3])
    assert np.array_equal(strips(path), big[..., :3])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            draw.tiff((UPRIGHT / 255).astype(np.float32), RGB, t339=[3] * 3),
            "a TIFF of 32-bit floating-point numbers",
        ),
        (
            draw.tiff(UPRIGHT.astype(np.int16), RGB, t339=[2] * 3),
            "a TIFF of 16-bit signed integers",
        ),
        (draw.tiff(UPRIGHT.astype(np.uint32), RGB), "a TIFF of 32-bit integers"),
        (draw.tiff(UPRIGHT.astype(np.uint16), 8), "a TIFF of 16 bits that is neither gray nor RGB"),
        (draw.tiff(UPRIGHT, RGB, t259=[50000]), "a TIFF that is compressed by Zstandard"),
        (draw.tiff(UPRIGHT[..., 0], 32803), "a TIFF with the raw mosaic of a camera's sensor"),
    ],
)
def test_a_tiff_that_is_no_picture_of_8_or_16_bits_says_what_it_is(
    tmp_path: Path, data: bytes, what: str
):
    path = write(tmp_path / "a.tif", data)
    for read in (images.load, *([strips] if VIPS else [])):
        with pytest.raises(
            ImageError,
            match=rf"a\.tif is {what}.*Expected 8 or 16 bits of gray or RGB\. Convert it",
        ):
            read(path)


def test_a_ycbcr_tiff_is_decoded_whole_so_that_its_colors_are_the_same(tmp_path: Path):
    gray = np.full((16, 16, 3), [128, 128, 128], np.uint8)
    path = write(tmp_path / "a.tif", draw.tiff(gray, 6, t530=[1, 1]))
    assert images.load(path).shape == (16, 16, 3)
    if VIPS:
        with pytest.raises(ImageError, match="cannot be read in strips"):
            FileRowReader(path)


# --- bits ---


@pytest.mark.parametrize(
    ("bits", "told"), [(8, 8), (10, 10), (11, 12), (12, 12), (14, 14), (15, None), (16, None)]
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_few_bits_in_a_file_of_16_are_told(
    tmp_path: Path, suffix: str, bits: int, told: int | None
):
    pixels = np.linspace(0, 2**bits - 1, 40 * 56 * 3).reshape(40, 56, 3).astype(np.uint16)
    path = write(tmp_path / f"a{suffix}", cv2.imencode(suffix, pixels)[1].tobytes())
    image, header = images.load_with_header(path)
    note = images.describe_depth(header.depth, int(image.max()))
    assert (
        note is None if told is None else f"holds {told} bits or less in a file of 16" in str(note)
    )
    if VIPS:
        source = FileRowReader(path)
        source.read(source.size[0])
        assert source.describe_depth() == note


def test_a_black_image_of_8_bits_is_no_matter():
    assert images.describe_depth(8, 0) is None


# --- sizes, before anything is decoded ---


def huge(kind: str) -> bytes:
    if kind == "png":
        header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            draw.png_chunk(name, body)
            for name, body in ((b"IHDR", header), (b"IDAT", bytes(9)), (b"IEND", b""))
        )
    if kind == "jpg":
        data = draw.encode(".jpg", UPRIGHT)
        place = data.index(b"\xff\xc0") + 5
        return data[:place] + struct.pack(">HH", 30_000, 30_000) + data[place + 4 :]
    if kind == "webp":
        lossless = draw.webp(np.zeros((1, 1, 3), np.uint8), 1)
        return (
            lossless[:24]
            + (16_383).to_bytes(3, "little")
            + (16_384).to_bytes(3, "little")
            + lossless[30:]
        )
    if kind == "bmp":
        data = draw.encode(".bmp", UPRIGHT)
        return data[:18] + struct.pack("<ii", 30_000, -30_000) + data[26:]
    if kind == "gif":
        return b"GIF89a" + struct.pack("<HH", 30_000, 30_000) + bytes(100)
    return draw.tiff(UPRIGHT, RGB).replace(
        struct.pack("<HHII", 256, 4, 1, 56), struct.pack("<HHII", 256, 4, 1, 2**24)
    )


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "bmp", "gif", "tif"])
def test_an_image_with_too_many_pixels_is_refused_by_its_header(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", fail)
    path = write(tmp_path / f"a.{kind}", huge(kind))
    with pytest.raises(
        ImageError,
        match=r"has \d+ x \d+ pixels, .* million; at most 268 million are decoded at once\. Cut",
    ):
        images.load(path)
    if kind != "jpg":
        with pytest.raises(DataError, match="at most 268 million"):
            images.load_labels(path)


def test_the_largest_image_is_the_bound_itself():
    assert MAX_PIXELS == 16_384 * 16_384


# --- other kinds of files, and damage ---


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (draw.box(b"ftyp", b"heic\0\0\0\0mif1heic"), "HEIC"),
        (draw.box(b"ftyp", b"mif1\0\0\0\0mif1heix"), "HEIC"),
        (draw.box(b"ftyp", b"isom\0\0\0\0mp42"), "a video"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="6000" height="6000"/>', "SVG"),
        (b'\n<?xml version="1.0"?><svg width="6000" height="6000"/>', "XML, such as an SVG"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(100), "a companion file of macOS"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "JPEG XL"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html><html>404", "a web page"),
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_file_of_another_kind_is_called_what_it_is(
    tmp_path: Path, name: str, data: bytes, what: str
):
    path = write(tmp_path / name, data)
    for read in (images.load, *([FileRowReader] if VIPS else [])):
        with pytest.raises(
            ImageError, match=rf"{name} is {what}.*which galago does not read\. Expected JPEG, PNG"
        ):
            read(path)
    assert image_size(path) is None


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_an_image_that_is_cut_short_is_refused(tmp_path: Path, kind: str, part: float):
    data = WRITERS[kind](UPRIGHT, 6)
    path = write(tmp_path / f"a.{kind}", data[: int(part * len(data))])
    with pytest.raises(
        ImageError, match=r"is a (JPEG|PNG|WebP image|TIFF) that is cut short\. Copy it again"
    ):
        images.load(path)


@pytest.mark.parametrize("suffix", [".bmp", ".gif"])
@pytest.mark.parametrize("part", [0.3, 0.97])
def test_other_images_that_are_cut_short_are_refused(tmp_path: Path, suffix: str, part: float):
    try:
        data = draw.encode(suffix, UPRIGHT)
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {suffix}")
    assert images.load(write(tmp_path / f"a{suffix}", data)).shape == UPRIGHT.shape
    with pytest.raises(ImageError, match=r"is .*(cut short|damaged)"):
        images.load(write(tmp_path / f"a{suffix}", data[: int(part * len(data))]))


@pytest.mark.parametrize(
    "filling", [b"\xff\xff", b"seven b"], ids=["fillers", "bytes without meaning"]
)
def test_what_lies_between_the_parts_of_a_jpeg_does_not_matter(tmp_path: Path, filling: bytes):
    data = draw.jpeg(UPRIGHT, 6)
    place = data.index(b"\xff\xdb")
    path = write(tmp_path / "a.jpg", data[:place] + filling + data[place:])
    assert images.load(path).shape == (56, 40, 3)


@pytest.mark.parametrize("kind", WRITERS)
def test_no_damaged_header_ends_in_anything_but_our_error(tmp_path: Path, kind: str):
    whole, random = WRITERS[kind](UPRIGHT, 3), np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for place in random.integers(0, min(len(data), 300), 3):
            data[place] = random.integers(256)
        path = write(tmp_path / f"a.{kind}", bytes(data))
        with contextlib.suppress(ImageError):
            images.load(path)
        read_header(io.BytesIO(data))


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_an_image_whose_name_is_no_text_is_read_by_both_readers(tmp_path: Path):
    path = write(tmp_path / "caf\udce9.png", draw.png(UPRIGHT, 1))
    assert np.array_equal(images.load(path), UPRIGHT)
    if VIPS:
        assert np.array_equal(strips(path), UPRIGHT)


def test_a_legend_survives_half_a_character():
    drawn = images.draw_legend(UPRIGHT, {"leaf\ud800": 1.0}, {"leaf\ud800": (255, 0, 0)})
    assert drawn.shape[0] > 40
