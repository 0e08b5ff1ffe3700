"""Which images go through the network in tiles, and how one of them becomes files."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from galago import image as images
from galago.errors import ConfigError, ImageError
from galago.runtime.result import written_files
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling.row_reader import can_read_rows, image_size
from galago.runtime.tiling.stream import TiledSegmentation, save_in_tiles
from galago.runtime.tiling.tiles import TileConfig
from galago.sources import Frame, ReadFrame, read_frames
from galago.spec import SIZE_MULTIPLE

# b0-camvid takes about 0.1 GB a megapixel (benchmarks/tiles.py), so 2.5 GB for the 24 megapixels of
# many cameras; larger networks take more.
LARGEST_WHOLE = 25_000_000  # pixels
NO_TILES = 0  # as a tile's side


@dataclass(eq=False, kw_only=True)
class TileLabeler:
    """Finds the images that are labeled in tiles, and labels them.

    Attributes:
        segmenter: its engine runs on each tile.
        config: how to cut images.
        forced: True where the user asked for tiles, False for none, None: automatic.
        out: folder for label maps and overlays; None writes nothing.
        alpha: strength of the colors, 0 to 1.
        records: by path of each image so far its size, and the tiles' size, overlap and number.
    """

    segmenter: Segmenter
    config: TileConfig
    forced: bool | None
    out: Path | None
    alpha: float
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    _warned: bool = False

    def read(self, frames: list[Frame], limit: int | None) -> Generator[ReadFrame]:
        """Yield images as they are read, one after the other; of large ones the header only."""
        for frame in frames[:limit]:
            size = _size_if_large(frame.path)
            if size and self.needs_tiling(size):
                yield ReadFrame(name=frame.name, origin=str(frame.path), in_tiles=True)
                continue
            for read in read_frames([frame]):
                if read.image is None or not self.needs_tiling(read.image.shape[:2]):
                    yield read
                elif read.image.size > 3 * LARGEST_WHOLE:
                    # decoded again when its turn comes: several that wait would fill the memory
                    yield replace(read, image=None, in_tiles=True)
                else:
                    yield replace(read, in_tiles=True)

    def needs_tiling(self, size: tuple[int, ...]) -> bool:
        """Tell whether an image of (height, width) is labeled in tiles."""
        return _needs_tiles(size, self.segmenter) if self.forced is None else self.forced

    def label(self, frame: ReadFrame, advance: Callable[[int, int], None]) -> TiledSegmentation:
        """Label an image and write its files.

        Args:
            frame: the image.
            advance: called after each tile with the number of those done and of all.
        Raises:
            ImageError: the image cannot be read, or a file cannot be written.
        """
        result = save_in_tiles(
            self.segmenter,
            Path(frame.origin) if frame.image is None else frame.image,
            files=written_files(self.out, frame.name) if self.out else None,
            config=self.config,
            alpha=self.alpha,
            advance=advance,
        )
        result.speed["read"] += frame.read_ms
        grid = result.grid
        self.records[frame.origin] = {
            "size": grid.size,
            "tile": grid.tile,
            "overlap": grid.overlap,
            "tiles": grid.count,
        }
        return result

    def describe(self, origin: str, result: TiledSegmentation) -> list[str]:
        """Say how an image was cut and, once, how reading large images takes less memory."""
        grid = result.grid
        size, tile = (f"{height} x {width}" for height, width in (grid.size, grid.tile))
        lines = [
            f"{origin}: {size} pixels (height x width), labeled in {grid.count} tiles of {tile}, "
            f"overlap {grid.overlap}"
        ]
        if result.whole and grid.size[0] * grid.size[1] > LARGEST_WHOLE and not self._warned:
            self._warned = True
            advice = (
                "save it as TIFF, PNG or JPEG in RGB"
                if can_read_rows()
                else "run: pip install 'galago[large]'"
            )
            memory_gb = 3e-9 * grid.size[0] * grid.size[1]
            lines.append(
                f"It was decoded as a whole, {memory_gb:.1f} GB. To read such photos in strips, "
                f"{advice}"
            )
        return lines


def _size_if_large(path: Path) -> tuple[int, int] | None:
    """Return the (height, width) of a large image that can be read strip by strip, else None."""
    try:
        header = images.read_header(path)
    except ImageError:  # reported when the image is read
        return None
    if header.size and math.prod(header.size) <= LARGEST_WHOLE:
        return None
    size = image_size(path)
    return size if size and math.prod(size) > LARGEST_WHOLE else None


def _needs_tiles(size: tuple[int, ...], segmenter: Segmenter) -> bool:
    """Tell whether an image is labeled in tiles by default.

    With a resize rule, or --imgsz, the network gets an image of one size, whatever the image's own
    is: never. Otherwise large images are, and images of another size than the one that the model
    takes, or larger than the one that the engine's file takes.
    """
    spec = segmenter.spec
    if segmenter.imgsz or spec.resize != "keep" or SIZE_MULTIPLE % spec.output_stride:
        return False
    if spec.input_size:
        return tuple(-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in size) != spec.input_size
    if fixed := segmenter.fixed_size:
        return size[0] > fixed[0] or size[1] > fixed[1]
    return size[0] * size[1] > LARGEST_WHOLE


def make_tile_labeler(
    segmenter: Segmenter, tile: int | None, overlap: int | None, *, out: Path | None, alpha: float
) -> TileLabeler:
    """Check the options before anything is read.

    Args:
        segmenter: the model.
        tile: side of a tile in pixels, 0 for no tiles, None: automatic.
        overlap: pixels that neighbors share (default: see `TileConfig`).
        out: folder for label maps and overlays; None writes nothing.
        alpha: strength of the colors, 0 to 1.
    Raises:
        ConfigError: tile and overlap do not suit each other, the model, or a size that images are
            fitted into.
    """
    if tile == NO_TILES and overlap is not None:
        raise ConfigError(
            "--tile 0 makes no tiles, so that there is no --overlap. Leave one of them out."
        )
    if segmenter.imgsz and (tile or overlap is not None):
        given = "x".join(map(str, segmenter.imgsz))
        raise ConfigError(
            "--tile labels photos at their own scale, --imgsz or the profile fits them into "
            f"{given}. Leave one out."
        )
    config = TileConfig(tile=tile or None, overlap=overlap)
    if tile or overlap is not None:
        config.fit(replace(segmenter.spec, input_size=segmenter.input_size))
    forced = None if tile is None else tile != NO_TILES
    return TileLabeler(segmenter=segmenter, config=config, forced=forced, out=out, alpha=alpha)
