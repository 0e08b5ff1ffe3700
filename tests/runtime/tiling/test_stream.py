import errno
from pathlib import Path

import numpy as np
import pytest
from tiled import label_in_tiles

from galago import image as images
from galago._core.png import IndexedPNG
from galago.errors import ImageError, ModelError
from galago.runtime.result import written_files
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling.stream import DownscaledOverlay, save_in_tiles
from galago.runtime.tiling.tiles import TileConfig
from galago.spec import ModelSpec

TILES = TileConfig(tile=64, overlap=32)
PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


class Means:
    """Stands for an engine: logits are the mean colors of 8 x 8 pixels."""

    name = "means"
    input_size = None
    fails_at = -1
    value = 0.0
    calls = 0

    def run(self, image: np.ndarray) -> np.ndarray:
        _, height, width, _ = image.shape
        means = (
            image[0].reshape(height // 8, 8, width // 8, 8, 3).mean(axis=(1, 3), dtype=np.float32)
        )
        if self.calls == self.fails_at:
            means[:] = self.value
        self.calls += 1
        return means.transpose(2, 0, 1)[None]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = (
        np.random.default_rng(0)
        .integers(0, 256, (10, 9, 3), np.uint8)
        .repeat(20, axis=0)
        .repeat(20, axis=1)
    )
    images.save(tmp_path / "photos/a.png", pixels[:190])
    return tmp_path / "photos/a.png"


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_files_and_areas_are_those_of_labels_in_memory(
    photo: Path, tiny_spec: ModelSpec, tmp_path: Path
):
    segmenter = Segmenter(Means(), tiny_spec)
    result = save_in_tiles(
        segmenter, photo, files=written_files(tmp_path / "out", "a"), config=TILES
    )
    expected = label_in_tiles(segmenter, photo, tile=64, overlap=32)
    expected.save(tmp_path / "expected")
    assert np.array_equal(images.load_labels(tmp_path / "out/a.png"), expected.labels)
    for name in ("a.png", "a_overlay.jpg"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    assert result.areas() == expected.areas()
    assert list(result.speed) == ["read", "pre", "infer", "post", "save"]
    assert all(value > 0 for value in result.speed.values())
    assert result.grid.size == (190, 180)


def test_an_array_works_as_well_and_nothing_need_be_written(photo: Path, tiny_spec: ModelSpec):
    segmenter = Segmenter(Means(), tiny_spec)
    result = save_in_tiles(segmenter, images.load(photo), files=None, config=TILES)
    assert result.whole
    assert result.areas() == label_in_tiles(segmenter, photo, tile=64, overlap=32).areas()
    assert "save" not in result.speed


def test_a_file_that_breaks_off_leaves_nothing(photo: Path, tiny_spec: ModelSpec, tmp_path: Path):
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"a.png is .*cut short"):
        save_in_tiles(
            Segmenter(Means(), tiny_spec),
            photo,
            files=written_files(tmp_path / "out", "a"),
            config=TILES,
        )
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_whatever_ends_the_work_leaves_nothing_and_an_older_file_stays(
    photo: Path, tiny_spec: ModelSpec, tmp_path: Path, error: type[BaseException]
):
    def stop(done: int, count: int) -> None:
        if done == count - 1:
            raise error

    images.save_labels(tmp_path / "out/a.png", np.zeros((1, 1), np.uint8), tiny_spec.palette)
    with pytest.raises(error):
        save_in_tiles(
            Segmenter(Means(), tiny_spec),
            photo,
            files=written_files(tmp_path / "out", "a"),
            config=TILES,
            advance=stop,
        )
    assert files_in(tmp_path / "out") == ["a.png"]
    assert images.load_labels(tmp_path / "out/a.png").shape == (1, 1)


def test_values_that_are_not_finite_leave_nothing(
    photo: Path, tiny_spec: ModelSpec, tmp_path: Path
):
    engine = Means()
    engine.fails_at, engine.value = 20, np.nan
    with pytest.raises(ModelError, match="not finite"):
        save_in_tiles(
            Segmenter(engine, tiny_spec),
            photo,
            files=written_files(tmp_path / "out", "a"),
            config=TILES,
        )
    assert files_in(tmp_path / "out") == []


def test_a_full_disk_leaves_nothing(
    photo: Path, tiny_spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(self: IndexedPNG, labels: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexedPNG, "write", fail)
    with pytest.raises(
        ImageError,
        match=r"Cannot write .*a.png: No space left on device. Free space or choose another",
    ):
        save_in_tiles(
            Segmenter(Means(), tiny_spec),
            photo,
            files=written_files(tmp_path / "out", "a"),
            config=TILES,
        )
    assert files_in(tmp_path / "out") == []


def test_a_file_in_place_of_the_folder_is_an_error_before_the_work(
    photo: Path, tiny_spec: ModelSpec, tmp_path: Path
):
    engine = Means()
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(ImageError, match="out is a file, not a folder"):
        save_in_tiles(
            Segmenter(engine, tiny_spec),
            photo,
            files=written_files(tmp_path / "out", "a"),
            config=TILES,
        )
    assert engine.calls == 0


def test_the_photo_is_never_replaced(photo: Path, tiny_spec: ModelSpec):
    before = photo.read_bytes()
    with pytest.raises(ImageError, match="would replace the photo"):
        save_in_tiles(
            Segmenter(Means(), tiny_spec),
            photo,
            files=written_files(photo.parent, "a"),
            config=TILES,
        )
    assert photo.read_bytes() == before


def test_an_overlay_has_names_under_it(photo: Path, tiny_spec: ModelSpec):
    result = save_in_tiles(Segmenter(Means(), tiny_spec), photo, files=None, config=TILES)
    assert result.overlay(legend=False).shape == (190, 180, 3)
    assert result.overlay().shape[0] > 190


def draw(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (*size, 3), np.uint8), random.integers(0, 3, size).astype(
        np.uint8
    )


def fill(
    overlay: DownscaledOverlay, image: np.ndarray, labels: np.ndarray, step: int
) -> DownscaledOverlay:
    for top in range(0, len(image), step):
        overlay.add_image(image[top : top + step])
    for top in range(0, len(image), step + 3):
        overlay.add_labels(labels[top : top + step + 3])
    return overlay


def test_a_image_that_is_small_enough_gets_the_usual_overlay():
    image, labels = draw((600, 40))
    overlay = fill(DownscaledOverlay(image.shape[:2], longest=600), image, labels, 7)
    assert np.array_equal(
        overlay.render(PALETTE, 0.25), images.overlay(image, labels, PALETTE, 0.25)
    )


@pytest.mark.parametrize("step", [1, 4, 5, 64, 1000])
def test_how_the_strips_are_cut_changes_nothing(step: int):
    image, labels = draw((103, 57))
    pixelss = [
        fill(DownscaledOverlay((103, 57), longest=30), image, labels, rows).render(PALETTE)
        for rows in (step, 103)
    ]
    assert np.array_equal(*pixelss)


def test_squares_are_averaged_and_get_the_label_in_their_middle():
    image = np.zeros((5, 6, 3), np.uint8)
    image[:3, :3] = np.arange(9).reshape(3, 3, 1) * 10  # 40 on average
    image[3:, :3] = 50  # two rows of three
    labels = np.zeros((5, 6), np.uint8)
    labels[1, 1], labels[4, 4] = 1, 2
    overlay = fill(DownscaledOverlay((5, 6), longest=2), image, labels, 2)
    assert (overlay.factor, overlay.size) == (3, (2, 2))
    pixels = overlay.render(PALETTE, 0)
    # the first pixel has no neighbor above or left of it, the others border on another class there
    # and are halved
    assert pixels[0, 0].tolist() == [40, 40, 40]
    assert pixels[1, 0].tolist() == [25, 25, 25]
    colors = fill(DownscaledOverlay((5, 6), longest=2), image, labels, 2).render(PALETTE, 1)
    assert colors[0, 0].tolist() == [0, 255, 0]
    assert colors[1, 1].tolist() == [0, 0, 127]


def test_a_large_image_becomes_4096_pixels_at_most():
    assert DownscaledOverlay((20_000, 10_000)).size == (4000, 2000)
    assert DownscaledOverlay((4096, 10)).size == (4096, 10)
    assert DownscaledOverlay((10, 4097)).size == (5, 2049)
