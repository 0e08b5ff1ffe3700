"""Large photos as overlapping tiles: the network sees one tile at a time, and its logits are
blended where tiles overlap.

Only a strip of one row of tiles is in memory: of the photo, of the logits, and of the labels. The
labels are those that blending all logits into one map, and `label_map` once, would give.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from galago import image as images
from galago.errors import ConfigError, ModelError
from galago.runtime.labelmap.interpolation import TAPS
from galago.runtime.labelmap.label_map import label_map
from galago.runtime.result import Segmentation
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling.row_reader import ArrayRowReader, RowReader
from galago.spec import SIZE_MULTIPLE, ModelSpec

TILE, OVERLAP = 1024, 128  # pixels
READ_ROWS = 128  # rows of the photo that are decoded at once
# rows of logits that become labels at once: more take more memory, fewer compute more rows twice
SLAB_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class TileConfig:
    """How to cut photos.

    Attributes:
        tile: side of a tile in pixels, a multiple of 32. A model of one input size takes tiles of
            that size and no other: leave it out, or name the longer side.
        overlap: pixels that neighbors share at least, a multiple of 32 below the tile's side. More
            hides where tiles meet, and costs time. Without it 128, and at most half of a tile's
            shorter side.
    """

    tile: int | None = None
    overlap: int | None = None

    def __post_init__(self) -> None:
        if self.tile is not None and (self.tile < SIZE_MULTIPLE or self.tile % SIZE_MULTIPLE):
            raise ConfigError(
                f"A tile needs a multiple of {SIZE_MULTIPLE} pixels, such as {TILE}, got "
                f"{self.tile}."
            )
        if self.overlap is not None and (self.overlap < 0 or self.overlap % SIZE_MULTIPLE):
            raise ConfigError(
                f"The overlap of tiles needs a multiple of {SIZE_MULTIPLE} pixels, or 0, got "
                f"{self.overlap}."
            )
        if self.overlap is not None and self.tile is not None:
            self._check_overlap((self.tile, self.tile), self.overlap)

    def fit(self, spec: ModelSpec) -> tuple[tuple[int, int], int]:
        """Return the (height, width) of a tile for a model, and the overlap.

        Raises:
            ConfigError: the model takes tiles of another size, or the overlap is no smaller than a
                tile.
        """
        tile = spec.input_size or (self.tile or TILE, self.tile or TILE)
        if self.tile and self.tile != max(tile):
            relation = "larger" if self.tile > max(tile) else "smaller"
            raise ConfigError(
                f"A tile of {self.tile} pixels is {relation} than what the model takes, {tile} "
                "(height, width) and nothing else. "
                f"Give {max(tile)}, or export the model without a fixed size."
            )
        overlap = (
            min(OVERLAP, min(tile) // 2 // SIZE_MULTIPLE * SIZE_MULTIPLE)
            if self.overlap is None
            else self.overlap
        )
        self._check_overlap(tile, overlap)
        return tile, overlap

    @staticmethod
    def _check_overlap(tile: tuple[int, int], overlap: int) -> None:
        if overlap >= min(tile):
            raise ConfigError(
                f"The overlap needs to be smaller than a tile, got {overlap} of {min(tile)} pixels."
            )


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of one photo lie.

    The photo is thought to be extended at the right and the bottom, as a whole photo is for the
    network. Within that every tile is whole: the last ones of a row or column are shifted back, and
    share more with their neighbors.

    Attributes:
        size: (height, width) of the photo.
        tile: (height, width) of a tile; smaller than asked for along a side that the photo does not
            fill.
        overlap: pixels that neighbors share at least.
        padded: (height, width) of the extended photo.
        tops, lefts: first pixel of each row and column of tiles.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    overlap: int
    padded: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def lay(cls, size: tuple[int, int], spec: ModelSpec, config: TileConfig) -> "TileGrid":
        """Cut a photo of a size for a model.

        Raises:
            ConfigError: the tiles do not suit the model.
        """
        tile, overlap = config.fit(spec)
        height, width = (-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in size)
        if spec.input_size:
            padded = (max(height, tile[0]), max(width, tile[1]))
        else:
            padded, tile = (height, width), (min(height, tile[0]), min(width, tile[1]))
        tops, lefts = (starts(*of_axis, overlap) for of_axis in zip(padded, tile, strict=True))
        return cls(size, tile, overlap, padded, tops, lefts)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.tops) * len(self.lefts)


def starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Return where tiles start along an axis that is at least one tile long.

    The last one ends at its end.
    """
    if length == tile:  # perhaps cut down to the photo, and then no longer than the overlap
        return (0,)
    return (*range(0, length - tile, tile - overlap), length - tile)


def blend_weights(firsts: tuple[int, ...], tile: int, overlap: int, stride: int) -> np.ndarray:
    """Return how much each tile counts along one axis: linearly less over the overlap, all tiles
    together 1 everywhere.

    Args:
        firsts: first pixel of each tile.
        tile, overlap: in pixels.
        stride: pixels per logit.
    Returns:
        (tiles, tile / stride) float32; exactly 1 where a tile is alone.
    """
    reach = tile // stride
    from_edge = np.minimum(np.arange(reach), np.arange(reach)[::-1]) + 0.5
    window = np.minimum(1, from_edge / max(1, overlap // stride))
    total = np.zeros(firsts[-1] // stride + reach)
    for first in firsts:
        total[first // stride :][:reach] += window
    return np.stack([window / total[first // stride :][:reach] for first in firsts]).astype(
        np.float32
    )


class TiledLabels:
    """The labels of a photo, strip by strip from the top; iterating gives them, once.

    Attributes:
        grid: where the tiles lie.
        speed: milliseconds spent so far on `read`, `pre`, `infer` and `post`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        strips: RowReader,
        config: TileConfig,
        *,
        advance: Callable[[int, int], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            segmenter: its engine runs on each tile.
            strips: the photo.
            config: how to cut it.
            advance: called after each tile with the number of those done and of all.
        Raises:
            ConfigError: the tiles do not suit the model, or it gives labels.
        """
        segmenter.check_logits("Tiling")
        self.grid = TileGrid.lay(
            strips.size, replace(segmenter.spec, input_size=segmenter.input_size), config
        )
        self.speed = dict.fromkeys(("read", "pre", "infer", "post"), 0.0)
        self._segmenter, self._strips, self._advance = segmenter, strips, advance
        grid, stride = self.grid, segmenter.spec.output_stride
        self._down, self._across = (
            blend_weights(firsts, tile, grid.overlap, stride)
            for firsts, tile in zip((grid.tops, grid.lefts), grid.tile, strict=True)
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield (n, W) uint8 labels until all rows of the photo have come.

        Raises:
            ImageError: the photo breaks off.
            ModelError: the network gives values that are not finite, or of another form than its
                description says.
        """
        spec, grid = self._segmenter.spec, self.grid
        stride = spec.output_stride
        context = (
            TAPS[spec.upsampling] // 2
        )  # rows of logits that a pixel looks at above and below its own
        tile_rows, columns = grid.tile[0] // stride, grid.padded[1] // stride
        photo = np.empty((grid.tile[0], grid.padded[1], 3), np.uint8)
        logits = np.zeros((spec.num_classes, tile_rows + 2 * context, columns), np.float32)
        first = 0  # row of logits of the whole photo that the first one in memory is
        done = 0  # rows of logits that have become labels
        labeled = -(-grid.size[0] // stride)  # those that have to
        ends = [
            *(top // stride - context for top in grid.tops[1:]),
            labeled,
        ]  # up to where a row of tiles completes the logits
        for row, (top, end) in enumerate(zip(grid.tops, ends, strict=True)):
            self._read(photo, row)
            self._run(photo, row, logits[:, top // stride - first :][:, :tile_rows])
            while done < min(end, labeled):
                slab = range(done, min(done + SLAB_ROWS, end, labeled))
                with self._timed("post"):
                    labels = self._label(logits, first, slab, context)
                yield labels
                done = slab.stop
            keep = max(0, done - context)
            shift(logits, keep - first)
            first = keep

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.speed[step] += 1000 * (perf_counter() - start)

    def _read(self, photo: np.ndarray, row: int) -> None:
        """Bring the photo's rows under one row of tiles into memory.

        Those of the row above are moved up or overwritten.
        """
        grid = self.grid
        top = grid.tops[row]
        known = grid.tops[row - 1] + grid.tile[0] - top if row else 0
        with self._timed("read"):
            shift([photo], grid.tile[0] - known)
            end = min(grid.size[0] - top, grid.tile[0])
            for start in range(known, end, READ_ROWS):
                photo[start : min(start + READ_ROWS, end), : grid.size[1]] = self._strips.read(
                    min(READ_ROWS, end - start)
                )
        color = [round(255 * channel) for channel in self._segmenter.spec.mean]
        photo[max(0, end) :] = color
        photo[:, grid.size[1] :] = color

    def _run(self, photo: np.ndarray, row: int, logits: np.ndarray) -> None:
        """Run the network on one row of tiles and add what it says to (K, tile rows, w) logits."""
        spec, grid = self._segmenter.spec, self.grid
        expected = (
            spec.num_classes,
            grid.tile[0] // spec.output_stride,
            grid.tile[1] // spec.output_stride,
        )
        for column, left in enumerate(grid.lefts):
            with self._timed("pre"):
                tile = np.ascontiguousarray(photo[:, left : left + grid.tile[1]])
            with self._timed("infer"):
                output = self._segmenter.engine.run(tile[None])[0]
            if output.shape != expected:
                raise ModelError(
                    f"The network gives {output.shape}, but its description says {expected}. "
                    "Export it again."
                )
            with self._timed("post"):
                share = self._down[row][:, None] * self._across[column]
                logits[..., left // spec.output_stride :][..., : expected[2]] += share * output
            if self._advance:
                self._advance(row * len(grid.lefts) + column + 1, grid.count)

    def _label(self, logits: np.ndarray, first: int, slab: range, context: int) -> np.ndarray:
        """Label the pixels of some rows of logits.

        `first` is the row of the whole photo that logits begin with.
        """
        spec, (height, width) = self._segmenter.spec, self.grid.size
        stride = spec.output_stride
        top, bottom = (
            max(0, slab.start - context),
            min(self.grid.padded[0] // stride, slab.stop + context),
        )
        size = (min(height, bottom * stride) - top * stride, width)
        labels = label_map(
            logits[:, top - first : bottom - first], size, (1 / stride, 1 / stride), spec.upsampling
        )
        return labels[(slab.start - top) * stride : slab.stop * stride - top * stride]


def shift(planes: Iterable[np.ndarray], rows: int) -> None:
    """Move the rows of contiguous (H, ...) planes up, in place; zeros come in below."""
    for plane in planes:
        flat, gone = plane.reshape(-1), rows * (plane.size // len(plane))
        flat[: flat.size - gone] = flat[
            gone:
        ]  # NumPy copies one-dimensional views without a temporary copy
        flat[flat.size - gone :] = 0


def label_in_tiles(
    segmenter: Segmenter,
    photo: np.ndarray | str | Path,
    *,
    tile: int | None = None,
    overlap: int | None = None,
) -> Segmentation:
    """Label a photo tile by tile, at its own scale whatever the model's resize rule is, with labels
    in memory as usual.

    Args:
        segmenter: what `galago.load` returns.
        photo: (H, W, 3) uint8 RGB, or the path of a photo file.
        tile, overlap: see `TileConfig`.
    Raises:
        ConfigError: tile or overlap do not suit the model or each other.
        ImageError: the photo cannot be read, or the array has another form.
        ModelError: the network gives values that are not finite, or of another form than its
            description says.
    """
    path = None if isinstance(photo, np.ndarray) else Path(photo)
    start = perf_counter()
    image = photo if isinstance(photo, np.ndarray) else images.load(photo)
    read_ms = 1000 * (perf_counter() - start)
    result = TiledLabels(segmenter, ArrayRowReader(image), TileConfig(tile=tile, overlap=overlap))
    labels = np.concatenate(list(result))
    spec, speed = segmenter.spec, {**result.speed, "read": result.speed["read"] + read_ms}
    return Segmentation(
        labels=labels, names=spec.classes, palette=spec.palette, image=image, path=path, speed=speed
    )
