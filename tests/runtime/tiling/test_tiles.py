import dataclasses
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tiled import label_in_tiles

from galago import image as images
from galago.errors import ConfigError, ImageError, ModelError
from galago.runtime.labelmap.label_map import label_map
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling.row_reader import ArrayRowReader
from galago.runtime.tiling.tiles import (
    TileConfig,
    TiledLabels,
    TileGrid,
    blend_weights,
    scroll_rows,
    tile_offsets,
)
from galago.spec import ModelSpec

# smaller than a tile in both sides, in one; of its very size; a bit larger; several tiles, on
# multiples of 32 and between them
SIZES = [
    (20, 30),
    (40, 200),
    (210, 33),
    (96, 96),
    (97, 96),
    (160, 224),
    (203, 171),
    (351, 290),
    (1, 130),
]


class Wobbly:
    """Stands for an engine: mean colors of 8 x 8 pixels, plus what depends on the place in the
    tile, so that tiles disagree.
    """

    name = "wobbly"
    input_size = None

    def __init__(self) -> None:
        self.given: list[tuple[int, ...]] = []

    def run(self, image: np.ndarray) -> np.ndarray:
        assert image.flags.c_contiguous
        self.given.append(image.shape)
        _, height, width, _ = image.shape
        means = (
            image[0].reshape(height // 8, 8, width // 8, 8, 3).mean(axis=(1, 3), dtype=np.float32)
            / 50
        )
        rows, columns = np.ogrid[: height // 8, : width // 8]
        means[..., 1] += np.sin(rows * 0.9) + np.cos(columns * 1.3)
        return means.transpose(2, 0, 1)[None]


def draw(size: tuple[int, int]) -> np.ndarray:
    """Draw large areas with noise on them."""
    random = np.random.default_rng(size)
    coarse = random.integers(0, 256, (-(-size[0] // 24), -(-size[1] // 24), 3))
    photo = coarse.repeat(24, axis=0).repeat(24, axis=1)[: size[0], : size[1]] + random.integers(
        -40, 40, (*size, 3)
    )
    return photo.clip(0, 255).astype(np.uint8)


def weights_along(length: int, tile: int, overlap: int) -> list[tuple[int, np.ndarray]]:
    """Lay tiles the slow way: first logit and weight of each logit of each tile."""
    firsts = [0]
    while firsts[-1] + tile < length:
        firsts.append(min(firsts[-1] + tile - overlap, length - tile))
    ramp = [
        min(1.0, (min(i, tile // 8 - 1 - i) + 0.5) / max(1, overlap // 8)) for i in range(tile // 8)
    ]
    total = [0.0] * (length // 8)
    for first in firsts:
        for i, weight in enumerate(ramp):
            total[first // 8 + i] += weight
    return [
        (first // 8, np.float32([weight / total[first // 8 + i] for i, weight in enumerate(ramp)]))
        for first in firsts
    ]


def blend_all(
    photo: np.ndarray, spec: ModelSpec, tile: tuple[int, int], overlap: int
) -> np.ndarray:
    """Label an image the plain way: blend the logits of all tiles in one map, then label that."""
    size = photo.shape[:2]
    padded = images.pad_to_multiple(photo, [round(255 * channel) for channel in spec.mean])
    if not spec.input_size:
        tile = (min(tile[0], padded.shape[0]), min(tile[1], padded.shape[1]))
    missing = [max(0, tile[axis] - padded.shape[axis]) for axis in (0, 1)]
    whole = np.empty((padded.shape[0] + missing[0], padded.shape[1] + missing[1], 3), np.uint8)
    whole[:] = [round(255 * channel) for channel in spec.mean]
    whole[: padded.shape[0], : padded.shape[1]] = padded
    logits, engine = np.zeros((3, whole.shape[0] // 8, whole.shape[1] // 8), np.float32), Wobbly()
    axes = (weights_along(whole.shape[axis], tile[axis], overlap) for axis in (0, 1))
    for (top, down), (left, across) in itertools.product(*axes):
        given = np.ascontiguousarray(whole[8 * top :, 8 * left :][: tile[0], : tile[1]])
        logits[:, top : top + len(down), left : left + len(across)] += (
            np.outer(down, across) * engine.run(given[None])[0]
        )
    return label_map(logits, size, (1 / 8, 1 / 8), spec.upsampling)


@pytest.mark.parametrize("upsampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("tile", "overlap"), [(96, 32), (64, 0), (128, 96), (320, 64)])
@pytest.mark.parametrize("size", SIZES)
def test_tiles_give_the_labels_of_one_blended_map(
    tiny_spec: ModelSpec, size: tuple[int, int], tile: int, overlap: int, upsampling: str
):
    spec, photo = dataclasses.replace(tiny_spec, upsampling=upsampling), draw(size)
    result = label_in_tiles(Segmenter(Wobbly(), spec), photo, tile=tile, overlap=overlap)
    assert np.array_equal(result.labels, blend_all(photo, spec, (tile, tile), overlap))


@pytest.mark.parametrize("resize", ["keep", "stretch"])
@pytest.mark.parametrize("size", SIZES)
def test_a_model_of_one_size_gets_tiles_of_that_size(
    tiny_spec: ModelSpec, size: tuple[int, int], resize: str
):
    spec, photo, engine = (
        dataclasses.replace(tiny_spec, input_size=(64, 128), resize=resize),
        draw(size),
        Wobbly(),
    )
    result = label_in_tiles(Segmenter(engine, spec), photo)
    assert set(engine.given) == {(1, 64, 128, 3)}
    assert np.array_equal(result.labels, blend_all(photo, spec, (64, 128), 32))


@pytest.mark.parametrize("size", SIZES)
def test_one_tile_gives_what_the_whole_photo_gives(tiny_spec: ModelSpec, size: tuple[int, int]):
    segmenter, photo = Segmenter(Wobbly(), tiny_spec), draw(size)
    assert np.array_equal(label_in_tiles(segmenter, photo).labels, segmenter(photo).labels)


def test_strips_are_as_high_as_a_row_of_tiles_at_most(tiny_spec: ModelSpec):
    labels = TiledLabels(
        Segmenter(Wobbly(), tiny_spec),
        ArrayRowReader(draw((1000, 40))),
        TileConfig(tile=64, overlap=32),
    )
    heights = [len(rows) for rows in labels]
    assert sum(heights) == 1000
    assert max(heights) <= 64


def test_a_network_that_sees_no_further_than_its_pixel_has_no_seams(tiny_spec: ModelSpec):
    class Plain(Wobbly):
        def run(self, image: np.ndarray) -> np.ndarray:
            red = image[:, ::8, ::8, 0].astype(np.float32)
            return np.stack([red, 255 - red, np.full_like(red, 99.5)], axis=1)

    segmenter, photo = Segmenter(Plain(), tiny_spec), draw((300, 333))
    assert (
        label_in_tiles(segmenter, photo, tile=96, overlap=64).labels != segmenter(photo).labels
    ).mean() < 1e-3  # rounding


def test_tiles_leave_the_resize_rule_out(tiny_spec: ModelSpec):
    engine = Wobbly()
    label_in_tiles(
        Segmenter(engine, dataclasses.replace(tiny_spec, resize="short_side", short_side=32)),
        draw((100, 100)),
        tile=64,
    )
    assert set(engine.given) == {(1, 64, 64, 3)}


def test_the_last_tile_ends_where_the_photo_ends():
    assert tile_offsets(96, 96, 32) == (0,)
    assert tile_offsets(128, 96, 32) == (0, 32)
    assert tile_offsets(224, 96, 32) == (0, 64, 128)
    assert tile_offsets(256, 96, 32) == (0, 64, 128, 160)


def test_shares_fall_linearly_and_make_one():
    # two tiles of 4 logits share 2: a quarter and three quarters, as half a step and one and a half
    # of two
    assert blend_weights((0, 16), 32, 16, 8).tolist() == [[1, 1, 0.75, 0.25], [0.25, 0.75, 1, 1]]
    assert blend_weights((0, 32), 32, 0, 8).tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]


def test_the_grid_counts_its_tiles(tiny_spec: ModelSpec):
    grid = TileGrid.from_size((200, 1000), tiny_spec, TileConfig(tile=256, overlap=64))
    assert (grid.tile, grid.padded, len(grid.tops), len(grid.lefts), grid.count) == (
        (224, 256),
        (224, 1024),
        1,
        5,
        5,
    )


def test_rows_move_up_in_place():
    planes = np.arange(2 * 5 * 2).reshape(2, 5, 2)
    scroll_rows(planes, 3)
    assert planes[:, :, 0].tolist() == [[6, 8, 0, 0, 0], [16, 18, 0, 0, 0]]
    scroll_rows(planes, 0)
    assert planes[:, :, 0].tolist() == [[6, 8, 0, 0, 0], [16, 18, 0, 0, 0]]


def test_progress_counts_to_the_number_of_tiles(tiny_spec: ModelSpec):
    seen: list[tuple[int, int]] = []
    config = TileConfig(tile=64, overlap=0)
    list(
        TiledLabels(
            Segmenter(Wobbly(), tiny_spec),
            ArrayRowReader(draw((128, 70))),
            config,
            advance=lambda *now: seen.append(now),
        )
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_photo_file_is_labeled_as_its_pixels(tiny_spec: ModelSpec, tmp_path: Path):
    images.save(tmp_path / "a.png", draw((70, 90)))
    result = label_in_tiles(Segmenter(Wobbly(), tiny_spec), tmp_path / "a.png", tile=64)
    assert result.path == tmp_path / "a.png"
    assert list(result.speed) == ["read", "pre", "infer", "post"]
    assert np.array_equal(
        result.labels,
        label_in_tiles(Segmenter(Wobbly(), tiny_spec), draw((70, 90)), tile=64).labels,
    )


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (100, None, "A tile needs a multiple of 32 pixels, such as 1024, got 100"),
        (0, None, "got 0"),
        (-32, None, "got -32"),
        (128, 50, "overlap of tiles needs a multiple of 32 pixels, or 0, got 50"),
        (128, -32, "got -32"),
        (128, 128, "overlap needs to be smaller than a tile, got 128 of 128"),
        (None, 1024, "got 1024 of 1024"),
    ],
)
def test_tiles_that_cannot_be_are_refused(
    tiny_spec: ModelSpec, tile: int | None, overlap: int | None, message: str
):
    with pytest.raises(ConfigError, match=message):
        label_in_tiles(Segmenter(Wobbly(), tiny_spec), draw((64, 64)), tile=tile, overlap=overlap)


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (
            256,
            None,
            r"A tile of 256 pixels is larger than what the model takes, \(64, 128\).* Give 128",
        ),
        (64, None, "A tile of 64 pixels is smaller"),
        (None, 64, "smaller than a tile, got 64 of 64"),
    ],
)
def test_tiles_that_a_model_does_not_take_are_refused(
    tiny_spec: ModelSpec, tile: int | None, overlap: int | None, message: str
):
    spec = dataclasses.replace(tiny_spec, input_size=(64, 128))
    with pytest.raises(ConfigError, match=message):
        label_in_tiles(Segmenter(Wobbly(), spec), draw((64, 64)), tile=tile, overlap=overlap)
    assert label_in_tiles(Segmenter(Wobbly(), spec), draw((64, 64)), tile=128).labels.shape == (
        64,
        64,
    )


def test_another_number_of_classes_is_an_error(tiny_spec: ModelSpec):
    spec = dataclasses.replace(tiny_spec, classes=("a", "b"), palette=((0, 0, 0), (1, 1, 1)))
    with pytest.raises(
        ModelError, match=r"gives \(3, 8, 8\), but its description says \(2, 8, 8\)"
    ):
        label_in_tiles(Segmenter(Wobbly(), spec), draw((64, 64)))


def test_an_array_of_another_form_is_an_error(tiny_spec: ModelSpec):
    with pytest.raises(ImageError, match="Expected an"):
        label_in_tiles(Segmenter(Wobbly(), tiny_spec), np.zeros((64, 64), np.uint8))


class Endless:
    """Stands for a photo of any height that is nowhere in memory."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def read(self, count: int) -> np.ndarray:
        return np.full((count, self.size[1], 3), 100, np.uint8)


def test_memory_does_not_grow_with_the_height_of_the_photo(tiny_spec: ModelSpec):
    def peak(height: int) -> int:
        labels = TiledLabels(
            Segmenter(Wobbly(), tiny_spec), Endless((height, 128)), TileConfig(tile=64, overlap=32)
        )
        tracemalloc.start()
        try:
            assert sum(len(rows) for rows in labels) == height
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(256)
    assert peak(8192) < 3 * peak(
        256
    )  # the photo takes 32 times as much; one of more threads at work counts for less than 2
