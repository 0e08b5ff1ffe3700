import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago import image as images
from galago.errors import DataError, ImageError

RED, GREEN = (255, 0, 0), (0, 255, 0)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


def encode(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, color_type: int, rows: bytes, *more: bytes) -> bytes:
    """Build a PNG by hand: rows as they lie in the file, each after a zero."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return (
        signature
        + chunk(b"IHDR", header)
        + b"".join(more)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


# --- photos ---


def test_a_photo_comes_as_rgb(tmp_path: Path):
    path = write(tmp_path / "a.png", png(2, 1, 8, 2, bytes([0, 255, 0, 0, 0, 255, 0])))
    assert images.load(path).tolist() == [[[255, 0, 0], [0, 255, 0]]]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif"])
def test_lossless_photos_come_as_they_were(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"fünf Äpfel{suffix}", encode(suffix, NOISE[..., ::-1]))
    assert np.array_equal(images.load(path), NOISE)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), [7, 7, 7]),
        (np.full((2, 3, 4), [3, 2, 1, 0], np.uint8), [1, 2, 3]),
        (np.full((2, 3, 3), [3 * 256, 2 * 256, 256], np.uint16), [1, 2, 3]),
        (np.full((1, 1, 3), [3, 2, 1], np.uint8), [1, 2, 3]),
    ],
    ids=["gray", "transparent", "16-bit", "one pixel"],
)
def test_every_photo_comes_in_one_form(tmp_path: Path, pixels: np.ndarray, expected: list[int]):
    loaded = images.load(write(tmp_path / "a.png", encode(".png", pixels)))
    assert loaded.dtype == np.uint8
    assert loaded.tolist() == np.full((*pixels.shape[:2], 3), expected).tolist()


def test_an_indexed_photo_comes_in_its_colors(tmp_path: Path):
    path = write(
        tmp_path / "a.png",
        png(2, 1, 8, 3, bytes([0, 1, 0]), chunk(b"PLTE", bytes([9, 8, 7, *RED]))),
    )
    assert images.load(path).tolist() == [[[255, 0, 0], [9, 8, 7]]]


def test_a_photo_is_turned_as_the_camera_was_held(tmp_path: Path):
    exif = (
        b"Exif\0\0MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + bytes(4)
    )  # orientation 6
    data = encode(".jpg", NOISE)
    path = write(
        tmp_path / "a.jpg",
        data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:],
    )
    assert images.load(path).shape == (56, 40, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_a_photo_that_is_cut_short_is_refused(tmp_path: Path, suffix: str, part: float):
    data = encode(suffix, NOISE)
    path = write(tmp_path / f"a{suffix}", data[: int(part * len(data))])
    with pytest.raises(ImageError, match=r"is a (JPEG|PNG) that is cut short\. Copy it again"):
        images.load(path)


def test_a_jpeg_cut_behind_its_thumbnail_is_cut_short(tmp_path: Path):
    data, thumbnail = encode(".jpg", NOISE), encode(".jpg", NOISE[:8, :8])
    with_thumbnail = (
        data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    )
    assert images.load(write(tmp_path / "a.jpg", with_thumbnail)).shape == NOISE.shape
    with pytest.raises(ImageError, match="cut short"):
        images.load(write(tmp_path / "a.jpg", with_thumbnail[:-100]))


def test_what_follows_the_end_of_a_jpeg_does_not_matter(tmp_path: Path):
    film = b"\0\0\0\x18ftypmp42 \xff\xda and more"  # phones append a short film to a photo
    assert images.load(write(tmp_path / "a.jpg", encode(".jpg", NOISE) + film)).shape == NOISE.shape


def test_what_follows_the_end_of_a_png_does_not_matter(tmp_path: Path):
    assert np.array_equal(
        images.load(write(tmp_path / "a.png", encode(".png", NOISE) + bytes(1000)))[..., ::-1],
        NOISE,
    )


def test_a_png_with_a_wrong_checksum_is_damaged(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    data = bytearray(encode(".png", NOISE))
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError, match="is a PNG that is damaged"):
        images.load(write(tmp_path / "a.png", bytes(data)))
    assert capfd.readouterr().err == ""  # libpng has not been asked


@pytest.mark.parametrize(
    "data",
    [b"hello", b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b"")],
    ids=["text", "no header"],
)
def test_what_is_no_photo_is_refused(tmp_path: Path, data: bytes):
    path = write(tmp_path / "a.png", data)
    with pytest.raises(
        ImageError, match=r"no photo that can be read\. Expected JPEG, PNG|is a PNG that is damaged"
    ):
        images.load(path)
    with pytest.raises(DataError, match=r"is no image|is a PNG that is damaged"):
        images.load_labels(path)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path):
    path = write(tmp_path / "a.jpg", b"")
    with pytest.raises(ImageError, match=r"a\.jpg is empty \(0 bytes\)"):
        images.load(path)
    with pytest.raises(DataError, match=r"a\.jpg is empty \(0 bytes\)"):
        images.load_labels(path)


def test_a_missing_photo_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(ImageError, match=r"Cannot read .*nowhere\.jpg: No such file"):
        images.load(tmp_path / "nowhere.jpg")


def test_a_folder_is_no_photo(tmp_path: Path):
    with pytest.raises(ImageError, match="Cannot read"):
        images.load(tmp_path)


# --- masks ---


def test_labels_come_back_from_an_indexed_png_with_its_palette(tmp_path: Path):
    labels = np.array([[0, 1, 1], [255, 7, 0]], np.uint8)
    images.save_labels(tmp_path / "a.png", labels, (RED, GREEN))
    assert images.load_labels(tmp_path / "a.png").tolist() == labels.tolist()
    # any viewer shows the colors, and black where there is none
    assert images.load(tmp_path / "a.png")[0].tolist() == [list(RED), list(GREEN), list(GREEN)]
    assert images.load(tmp_path / "a.png")[1].tolist() == [[0, 0, 0], [0, 0, 0], list(RED)]


@pytest.mark.parametrize("color_type", [0, 3], ids=["gray", "indexed"])
@pytest.mark.parametrize(
    ("depth", "expected"),
    [(1, [0, 0, 0, 1, 1, 0, 1, 1]), (2, [0, 1, 2, 3]), (4, [1, 11]), (8, [27])],
)
def test_masks_of_few_bits_give_their_ids(
    tmp_path: Path, depth: int, expected: list[int], color_type: int
):
    palette = [chunk(b"PLTE", bytes([5, 5, 5]) * 2**depth)] if color_type == 3 else []
    data = png(8 // depth, 1, depth, color_type, bytes([0, 0b00011011]), *palette)
    assert images.load_labels(write(tmp_path / "a.png", data)).tolist() == [expected]


def test_transparency_of_a_palette_does_not_matter(tmp_path: Path):
    data = png(
        2, 1, 8, 3, bytes([0, 1, 0]), chunk(b"PLTE", bytes(6)), chunk(b"tRNS", bytes([0, 255]))
    )
    assert images.load_labels(write(tmp_path / "a.png", data)).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", encode(".jpg", NOISE), "is a JPEG, which changes class ids"),
        (
            "a.png",
            encode(".png", NOISE),
            r"is a colored image of shape \(40, 56, 3\). Expected one 8-bit class id",
        ),
        (
            "a.png",
            encode(".png", np.zeros((2, 3), np.uint16)),
            r"is a 16-bit image of shape \(2, 3\)",
        ),
        (
            "a.png",
            encode(".png", NOISE)[:-20],
            "is a PNG that is cut short. Expected a single-channel PNG mask",
        ),
    ],
)
def test_a_mask_that_holds_no_ids_is_refused(tmp_path: Path, name: str, data: bytes, message: str):
    with pytest.raises(DataError, match=message):
        images.load_labels(write(tmp_path / name, data))


# --- writing ---


def test_an_image_saved_as_png_comes_back(tmp_path: Path):
    images.save(tmp_path / "new/a.png", NOISE)
    assert np.array_equal(images.load(tmp_path / "new/a.png"), NOISE)


@pytest.mark.parametrize("name", ["a", "a.xyz"])
def test_an_unknown_suffix_is_an_error(tmp_path: Path, name: str):
    with pytest.raises(ImageError, match=r"unknown suffix '.*'\. Use \.jpg or \.png"):
        images.save(tmp_path / name, NOISE)


def test_an_image_too_wide_for_jpeg_is_an_error_that_says_so(tmp_path: Path):
    with pytest.raises(ImageError, match="the format holds no image of 1 x 70000 pixels"):
        images.save(tmp_path / "a.jpg", np.zeros((1, 70_000, 3), np.uint8))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_an_image_of_another_form_is_an_error_that_shows_it(tmp_path: Path, image: np.ndarray):
    message = (
        r"Expected an \(H, W, 3\) uint8 RGB image, got shape "
        rf"\({', '.join(map(str, image.shape))}\), dtype {image.dtype}"
    )
    for use in (
        lambda: images.save(tmp_path / "a.png", image),
        lambda: images.pad_to_multiple(image, (0, 0, 0)),
        lambda: images.resize(image, (32, 32)),
    ):
        with pytest.raises(ImageError, match=message):
            use()


def test_a_file_in_place_of_the_folder_is_one_clear_error(tmp_path: Path):
    write(tmp_path / "out", b"mine")
    with pytest.raises(
        ImageError,
        match=r"Cannot write .*a\.png: .*out is a file, not a folder. Choose another folder",
    ):
        images.save_labels(tmp_path / "out/a.png", np.zeros((1, 1), np.uint8), (RED,))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# --- forms and pictures ---


def test_padding_is_at_the_right_and_the_bottom():
    padded = images.pad_to_multiple(np.zeros((33, 64, 3), np.uint8), (1, 2, 3))
    assert padded.shape == (64, 64, 3)
    assert not padded[:33].any()
    assert (padded[33:] == (1, 2, 3)).all()


def test_a_fitting_image_is_not_copied():
    image = np.zeros((32, 64, 3), np.uint8)
    assert images.pad_to_multiple(image, (1, 2, 3)) is image
    assert images.resize(image, (32, 64)) is image


def test_resize_takes_height_first():
    assert images.resize(NOISE, (20, 60)).shape == (20, 60, 3)


def test_ids_without_a_color_are_black():
    assert images.colorize(np.array([[1, 200]], np.uint8), (RED, GREEN)).tolist() == [
        [list(GREEN), [0, 0, 0]]
    ]


def test_an_overlay_blends_and_draws_borders_dark():
    photo = np.full((1, 3, 3), 100, np.uint8)
    blended = images.overlay(
        photo, np.array([[0, 0, 1]], np.uint8), ((200, 0, 0), (0, 200, 0)), alpha=0.5
    )
    # (100 + 200) / 2 = 150, (100 + 0) / 2 = 50; the first pixel of another class at half of that
    assert blended.tolist() == [[[150, 50, 50], [150, 50, 50], [25, 75, 25]]]


@pytest.mark.parametrize(
    "order", [slice(None), slice(None, None, -1)], ids=["as it is", "a view from BGR"]
)
def test_an_overlay_of_strength_zero_is_the_photo(order: slice):
    photo = NOISE[..., order]
    assert np.array_equal(
        images.overlay(photo, np.zeros((40, 56), np.uint8), (RED,), alpha=0), photo
    )


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 500), (20, 2000)])
def test_a_legend_fits_under_any_photo(size: tuple[int, int]):
    photo = np.full((*size, 3), 9, np.uint8)
    names = ["road", "Straße 道", "a very long name " * 20]
    drawn = images.draw_legend(photo, dict.fromkeys(names, 1 / 3), dict.fromkeys(names, RED))
    assert drawn.shape[0] > size[0]
    assert drawn.shape[1:] == (size[1], 3)
    assert (drawn[: size[0]] == 9).all()


@pytest.mark.parametrize("name", ["\udce9", "\x1b[31m", "\0", "n" * 10_000])
def test_a_strange_class_name_in_a_legend_does_not_end_the_process(name: str):
    drawn = images.draw_legend(np.full((40, 300, 3), 9, np.uint8), {name: 1.0}, {name: RED})
    assert (drawn == RED).all(axis=2).any()


def test_a_legend_leaves_out_what_is_too_small_to_see():
    photo = np.zeros((8, 400, 3), np.uint8)
    colors = {"road": RED, "car": GREEN}
    drawn = images.draw_legend(photo, {"road": 0.9995, "car": 0.0005}, colors)
    assert (drawn == RED).all(axis=2).any()
    assert not (drawn == GREEN).all(axis=2).any()


def test_padding_to_a_size_keeps_the_photo_in_the_corner():
    padded = images.pad_to_size(np.ones((2, 3, 3), np.uint8), (7, 8, 9), (4, 3))
    assert padded.shape == (4, 3, 3)
    assert (padded[:2] == 1).all()
    assert (padded[2:] == (7, 8, 9)).all()
