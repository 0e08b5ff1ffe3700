import importlib.util
import logging
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago import image as images
from galago.errors import ImageError, MissingDependencyError
from galago.runtime.tiling import row_reader as strips
from galago.runtime.tiling.row_reader import (
    ArrayRowReader,
    FileRowReader,
    RowReader,
    can_read_rows,
    image_size,
    open_row_reader,
)

needs_vips = pytest.mark.skipif(importlib.util.find_spec("pyvips") is None, reason="needs pyvips")
SMOOTH = np.add.outer(np.arange(90), np.arange(70))[..., None].astype(np.uint8) * np.uint8(
    [1, 2, 3]
)
NOISE = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)


def read_all(source: RowReader, count: int = 32) -> np.ndarray:
    height = source.size[0]
    return np.concatenate(
        [source.read(min(count, height - top)) for top in range(0, height, count)]
    )


def write_with_vips(path: Path, pixels: np.ndarray, **settings: object) -> Path:
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_array(pixels)
    if orientation := settings.pop("orientation", None):
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.write_to_file(str(path), **settings)
    return path


@needs_vips
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize(
    "pixels",
    [
        NOISE,
        NOISE[..., 0],
        np.dstack([NOISE, np.full_like(NOISE[..., 0], 255)]),
        NOISE.astype(np.uint16) * 257,
        NOISE[..., 1].astype(np.uint16) * 200,
    ],
    ids=["rgb", "gray", "opaque", "16 bits", "gray of 16 bits"],
)
def test_lossless_files_come_as_load_gives_them(tmp_path: Path, pixels: np.ndarray, suffix: str):
    if suffix == ".webp" and pixels.dtype != np.uint8:
        pytest.skip("WebP has 8 bits")
    settings = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    path = write_with_vips(tmp_path / f"ä b{suffix}", pixels, **settings)
    source = FileRowReader(path)
    assert source.size == (300, 200)
    assert np.array_equal(read_all(source), images.load(path))


@needs_vips
def test_transparency_is_dropped(tmp_path: Path):
    path = write_with_vips(tmp_path / "a.png", np.dstack([NOISE, NOISE[..., 0]]))
    assert np.array_equal(read_all(FileRowReader(path)), NOISE)
    assert np.array_equal(images.load(path), NOISE)


@needs_vips
@pytest.mark.parametrize(
    "settings",
    [{"bigtiff": True}, {"tile": True, "compression": "deflate"}, {"compression": "lzw"}],
)
def test_every_kind_of_tiff_comes_as_it_was(tmp_path: Path, settings: dict[str, object]):
    path = write_with_vips(tmp_path / "a.tif", NOISE, **settings)
    assert np.array_equal(read_all(FileRowReader(path)), NOISE)


@needs_vips
@pytest.mark.parametrize("settings", [{}, {"interlace": True}, {"subsample_mode": "off"}])
@pytest.mark.parametrize("pixels", [SMOOTH, SMOOTH[..., 0]], ids=["rgb", "gray"])
def test_a_jpeg_comes_as_load_gives_it(
    tmp_path: Path, pixels: np.ndarray, settings: dict[str, object]
):
    path = write_with_vips(tmp_path / "a.jpg", pixels, **settings)
    gap = read_all(FileRowReader(path)).astype(int) - images.load(path)
    assert abs(gap).max() <= 1  # two builds of one decoder


@needs_vips
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png", ".webp"])
def test_a_photo_is_turned_as_the_camera_says(tmp_path: Path, suffix: str, orientation: int):
    path = write_with_vips(tmp_path / f"a{suffix}", SMOOTH, orientation=orientation)
    source, expected = FileRowReader(path), images.load(path)
    assert source.size == expected.shape[:2]
    assert abs(read_all(source).astype(int) - expected).max() <= 2


@needs_vips
def test_a_palette_comes_as_colors(tmp_path: Path):
    images.save_labels(tmp_path / "a.png", np.uint8([[0, 1], [1, 0]]), [(9, 8, 7), (200, 100, 50)])
    assert np.array_equal(
        read_all(FileRowReader(tmp_path / "a.png")), images.load(tmp_path / "a.png")
    )


@needs_vips
def test_what_libvips_would_color_in_its_own_way_is_decoded_whole(tmp_path: Path):
    pyvips = pytest.importorskip("pyvips")
    path = tmp_path / "a.jpg"
    pyvips.Image.new_from_array(np.dstack([SMOOTH, SMOOTH[..., 0]])).copy(
        interpretation="cmyk"
    ).write_to_file(str(path))
    assert image_size(path) is None
    assert np.array_equal(read_all(open_row_reader(path)), images.load(path))


@needs_vips
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_truncated_file_ends_with_an_error(tmp_path: Path, suffix: str):
    path = write_with_vips(tmp_path / f"a{suffix}", NOISE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(
        ImageError,
        match=rf"a{suffix} is (cut short or damaged: it ends early, after about|no photo)",
    ):
        read_all(FileRowReader(path))


@needs_vips
def test_a_damaged_png_is_an_error(tmp_path: Path):
    path = write_with_vips(tmp_path / "a.png", NOISE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ImageError, match="cut short or damaged"):
        read_all(FileRowReader(path))


@needs_vips
def test_a_file_that_changed_is_read_again(tmp_path: Path):
    for value in (1, 2):
        images.save(tmp_path / "a.png", np.full((40, 40, 3), value, np.uint8))
        assert (read_all(FileRowReader(tmp_path / "a.png")) == value).all()


@needs_vips
def test_nothing_but_our_errors_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "a.tif").write_bytes(
        write_with_vips(tmp_path / "b.tif", NOISE).read_bytes()[:-1000]
    )
    (tmp_path / "a.jpg").write_bytes(b"hello")
    for name in ("a.tif", "a.jpg", "missing.png"):
        assert image_size(tmp_path / name) is None or name == "a.tif"
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("pyvips").handlers


@needs_vips
@pytest.mark.parametrize("name", ["missing.png", "hello.png"])
def test_the_error_of_a_file_that_is_no_photo_is_that_of_load(tmp_path: Path, name: str):
    (tmp_path / "hello.png").write_bytes(b"hello")
    with pytest.raises(ImageError) as expected:
        images.load(tmp_path / name)
    with pytest.raises(ImageError) as raised:
        open_row_reader(tmp_path / name)
    assert str(raised.value) == str(expected.value)


def test_without_pyvips_a_photo_is_decoded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyvips", None)
    images.save(tmp_path / "a.png", NOISE)
    assert not can_read_rows()
    assert image_size(tmp_path / "a.png") is None
    source = open_row_reader(tmp_path / "a.png")
    assert isinstance(source, ArrayRowReader)
    assert np.array_equal(read_all(source, 7), NOISE)


def test_missing_pyvips_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(
        MissingDependencyError, match=r"pyvips is missing. Run: pip install 'galago\[large\]'"
    ):
        FileRowReader(Path("a.png"))


def test_pyvips_without_libvips_is_as_good_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(module: str, extra: str) -> None:
        raise OSError("cannot load library 'libvips.so.42'")

    monkeypatch.setattr(strips, "require", fail)
    assert not can_read_rows()
    with pytest.raises(
        MissingDependencyError, match=r"finds no libvips. Run: pip install 'galago\[large\]'"
    ):
        FileRowReader(tmp_path / "a.png")


def test_a_bmp_is_read_too(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.bmp"), NOISE[..., ::-1])
    assert np.array_equal(read_all(open_row_reader(tmp_path / "a.bmp")), NOISE)


def test_an_array_comes_in_strips():
    source = open_row_reader(NOISE)
    assert source.size == (300, 200)
    assert np.array_equal(source.read(10), NOISE[:10])
    assert np.array_equal(source.read(10), NOISE[10:20])
