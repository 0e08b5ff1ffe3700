"""Large images as overlapping tiles: the network gets one tile at a time, and its logits are
blended where tiles overlap.

Only one row of tiles is in memory: of the image, of the logits and of the labels. The labels are
equal to those of blending all logits into one map and calling `label_map` once.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from galago.errors import ConfigError, ModelError
from galago.runtime.labelmap.interpolation import TAPS
from galago.runtime.labelmap.label_map import label_map
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling.row_reader import RowReader
from galago.spec import SIZE_MULTIPLE, ModelSpec, mean_color

TILE = 1024  # pixels
OVERLAP = 128  # pixels
READ_ROWS = 128  # rows of the image that are decoded at once
# rows of logits that become labels at once: more take more memory, fewer compute more rows twice
SLAB_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class TileConfig:
    """How to cut images.

    Attributes:
        tile: side of a tile in pixels, a multiple of 32. A model of one input size takes tiles of
            that size and no other: leave it out, or name the longer side.
        overlap: pixels that neighbors share at least, a multiple of 32 below the tile's side. More
            hides where tiles meet, and costs time (default: 128, and at most half of a tile's
            shorter side).
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
    """The positions of the tiles of one image.

    The image is padded at the right and the bottom, like a whole image for the network. Within that
    every tile is complete: the last ones of a row or column are shifted back, and share more with
    their neighbors.

    Attributes:
        size: (height, width) of the image.
        tile: (height, width) of a tile; smaller than configured along a side that the image does
            not fill.
        overlap: pixels that neighbors share at least.
        padded: (height, width) of the padded image.
        tops, lefts: first pixel of each row and column of tiles.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    overlap: int
    padded: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def from_size(cls, size: tuple[int, int], spec: ModelSpec, config: TileConfig) -> "TileGrid":
        """Cut an image of a size for a model.

        Raises:
            ConfigError: the tiles do not suit the model.
        """
        tile, overlap = config.fit(spec)
        height, width = (-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in size)
        if spec.input_size:
            padded = (max(height, tile[0]), max(width, tile[1]))
        else:
            padded = (height, width)
            tile = (min(height, tile[0]), min(width, tile[1]))
        return cls(
            size=size,
            tile=tile,
            overlap=overlap,
            padded=padded,
            tops=tile_offsets(padded[0], tile[0], overlap),
            lefts=tile_offsets(padded[1], tile[1], overlap),
        )

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.tops) * len(self.lefts)


def tile_offsets(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Return the first pixel of each tile along an axis that is at least one tile long.

    The last tile ends where the axis ends.
    """
    if length == tile:  # perhaps reduced to the image, and then no longer than the overlap
        return (0,)
    return (*range(0, length - tile, tile - overlap), length - tile)


def blend_weights(firsts: tuple[int, ...], tile: int, overlap: int, stride: int) -> np.ndarray:
    """Return the weight of each tile along one axis: a linear ramp over the overlap, sums of 1.

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
    """The labels of an image, strip by strip from the top; can be iterated once.

    Attributes:
        grid: the positions of the tiles.
        speed: milliseconds spent so far on `read`, `pre`, `infer` and `post`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        reader: RowReader,
        config: TileConfig,
        *,
        advance: Callable[[int, int], None] | None = None,
    ) -> None:
        """Cut an image into tiles; nothing is read yet.

        Args:
            segmenter: its engine runs on each tile.
            reader: the image.
            config: how to cut it.
            advance: called after each tile with the number of those done and of all.
        Raises:
            ConfigError: the tiles do not suit the model, or it gives labels.
        """
        segmenter.check_logits("Tiling")
        self.grid = TileGrid.from_size(
            reader.size, replace(segmenter.spec, input_size=segmenter.input_size), config
        )
        self.speed = dict.fromkeys(("read", "pre", "infer", "post"), 0.0)
        self._segmenter = segmenter
        self._reader = reader
        self._advance = advance
        grid, stride = self.grid, segmenter.spec.output_stride
        self._down = blend_weights(grid.tops, grid.tile[0], grid.overlap, stride)
        self._across = blend_weights(grid.lefts, grid.tile[1], grid.overlap, stride)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield (n, W) uint8 labels until all rows of the image are done.

        Raises:
            ImageError: the image ends early.
            ModelError: the network gives values that are not finite, or of another shape than its
                description says.
        """
        spec, grid = self._segmenter.spec, self.grid
        stride = spec.output_stride
        context = TAPS[spec.upsampling] // 2  # rows of logits that a pixel needs above and below
        tile_rows, columns = grid.tile[0] // stride, grid.padded[1] // stride
        strip = np.empty((grid.tile[0], grid.padded[1], 3), np.uint8)  # of the image
        logits = np.zeros((spec.num_classes, tile_rows + 2 * context, columns), np.float32)
        first = 0  # index in the whole map of the first row of logits in memory
        done = 0  # rows of logits that have become labels
        total = -(-grid.size[0] // stride)  # rows of logits that need to become labels
        # the row of logits up to which each row of tiles completes them
        ends = [*(top // stride - context for top in grid.tops[1:]), total]
        for row, (top, end) in enumerate(zip(grid.tops, ends, strict=True)):
            self._read(strip, row)
            self._run(strip, row, logits[:, top // stride - first :][:, :tile_rows])
            while done < min(end, total):
                slab = range(done, min(done + SLAB_ROWS, end, total))
                with self._timed("post"):
                    labels = self._label(logits, first, slab, context)
                yield labels
                done = slab.stop
            needed = max(0, done - context)
            scroll_rows(logits, needed - first)
            first = needed

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.speed[step] += 1000 * (perf_counter() - start)

    def _read(self, strip: np.ndarray, row: int) -> None:
        """Read the pixels of one row of tiles; rows shared with the row above are moved up."""
        grid = self.grid
        top = grid.tops[row]
        known = grid.tops[row - 1] + grid.tile[0] - top if row else 0
        with self._timed("read"):
            scroll_rows([strip], grid.tile[0] - known)
            end = min(grid.size[0] - top, grid.tile[0])
            for start in range(known, end, READ_ROWS):
                strip[start : min(start + READ_ROWS, end), : grid.size[1]] = self._reader.read(
                    min(READ_ROWS, end - start)
                )
        color = mean_color(self._segmenter.spec.mean)
        strip[max(0, end) :] = color
        strip[:, grid.size[1] :] = color

    def _run(self, strip: np.ndarray, row: int, logits: np.ndarray) -> None:
        """Run the network on one row of tiles and add its output to (K, tile rows, w) logits."""
        spec, grid = self._segmenter.spec, self.grid
        expected = (
            spec.num_classes,
            grid.tile[0] // spec.output_stride,
            grid.tile[1] // spec.output_stride,
        )
        for column, left in enumerate(grid.lefts):
            with self._timed("pre"):
                tile = np.ascontiguousarray(strip[:, left : left + grid.tile[1]])
            with self._timed("infer"):
                output = self._segmenter.engine.run(tile[None])[0]
            if output.shape != expected:
                raise ModelError(
                    f"The network gives {output.shape}, but its description says {expected}. "
                    "Export it again."
                )
            with self._timed("post"):
                weight = self._down[row][:, None] * self._across[column]
                logits[..., left // spec.output_stride :][..., : expected[2]] += weight * output
            if self._advance:
                self._advance(row * len(grid.lefts) + column + 1, grid.count)

    def _label(self, logits: np.ndarray, first: int, slab: range, context: int) -> np.ndarray:
        """Label the pixels of some rows of logits.

        Args:
            logits: (K, rows, w), those in memory.
            first: index in the whole map of the first of them.
            slab: the rows to label, as indices in the whole map.
            context: rows of logits that a pixel needs above and below.
        """
        spec, (height, width) = self._segmenter.spec, self.grid.size
        stride = spec.output_stride
        top = max(0, slab.start - context)
        bottom = min(self.grid.padded[0] // stride, slab.stop + context)
        size = (min(height, bottom * stride) - top * stride, width)
        labels = label_map(
            logits[:, top - first : bottom - first], size, (1 / stride, 1 / stride), spec.upsampling
        )
        return labels[(slab.start - top) * stride : slab.stop * stride - top * stride]


def scroll_rows(planes: Iterable[np.ndarray], rows: int) -> None:
    """Move the rows of contiguous (H, ...) planes up, in place; zeros come in below."""
    for plane in planes:
        flat = plane.reshape(-1)  # one-dimensional views are moved without a temporary copy
        gone = rows * (plane.size // len(plane))
        flat[: flat.size - gone] = flat[gone:]
        flat[flat.size - gone :] = 0
