"""What galago predict does with photos that are too large to go through the network at once."""

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from galago.cli._progress import PhotoBars
    from galago.runtime.segmenter import Segmenter
    from galago.runtime.tiling.stream import TiledSegmentation
    from galago.runtime.tiling.tiles import TileConfig
    from galago.sources import Frame, ReadFrame

# b0-camvid takes about 0.1 GB a megapixel (benchmarks/tiles.py), so 2.5 GB for the 24 megapixels of
# many cameras; larger networks take more.
LARGEST_WHOLE = 25_000_000  # pixels
NEVER = 0  # as a tile's side


@dataclass(frozen=True, eq=False, kw_only=True)
class LargePhoto:
    """A photo that waits to be labeled in tiles.

    Attributes:
        name: for the files that are written about it.
        origin: its path.
        photo: its pixels, (H, W, 3) uint8 RGB, or the path again where they are too many to wait in
            memory.
        read_ms: milliseconds that reading took.
        time_s: None; it is no frame of a video.
        note: what is odd about a photo that was read already.
    """

    name: str
    origin: str
    photo: "np.ndarray | Path"
    read_ms: float
    time_s: float | None = None
    note: str | None = None


@dataclass(eq=False, kw_only=True)
class TileJob:
    """Finds the photos that go through tiles, and labels them.

    Attributes:
        segmenter: its engine runs on each tile.
        config: how to cut photos.
        wanted: True where the user asked for tiles, False where for none, None where the photo
            decides.
        out: folder for label maps and overlays, if wanted.
        alpha: strength of the colors, 0 to 1.
        told: what `--json` tells about each photo.
    """

    segmenter: "Segmenter"
    config: "TileConfig"
    wanted: bool | None
    out: Path | None
    alpha: float
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    _warned: bool = False

    def read(self, frames: "list[Frame]", limit: int | None) -> "Generator[ReadFrame | LargePhoto]":
        """Read photos one after the other, only when the next is asked for.

        Of the large ones no more than the header.
        """
        from galago.errors import ImageError
        from galago.runtime.tiling.row_reader import photo_size
        from galago.sources import read_frames

        for frame in frames[:limit]:
            size = photo_size(frame.path)
            if size and size[0] * size[1] > LARGEST_WHOLE and self.wants(size):
                yield LargePhoto(
                    name=frame.name, origin=str(frame.path), photo=frame.path, read_ms=0.0
                )
                continue
            for read in read_frames([frame]):
                if isinstance(read.image, ImageError) or not self.wants(read.image.shape[:2]):
                    yield read
                    continue
                # A large one is decoded again when its turn comes: several that wait would fill the
                # memory.
                photo = frame.path if read.image.size > 3 * LARGEST_WHOLE else read.image
                yield LargePhoto(
                    name=read.name,
                    origin=read.origin,
                    photo=photo,
                    read_ms=read.read_ms,
                    note=read.note,
                )

    def wants(self, size: tuple[int, ...]) -> bool:
        """Tell whether a photo of (height, width) goes through tiles."""
        return needs_tiles(size, self.segmenter) if self.wanted is None else self.wanted

    def label(self, large: LargePhoto, bars: "PhotoBars") -> "TiledSegmentation":
        """Label a photo and write its files.

        Raises:
            ImageError: the photo cannot be read, or a file cannot be written.
        """
        from galago.runtime.result import written_files
        from galago.runtime.tiling.stream import save_in_tiles

        files = written_files(self.out, large.name) if self.out else None
        with bars.tiles(large.name) as advance:
            result = save_in_tiles(
                self.segmenter,
                large.photo,
                files=files,
                config=self.config,
                alpha=self.alpha,
                advance=advance,
            )
        result.speed["read"] += large.read_ms
        self.tell(large.origin, result, bars)
        return result

    def tell(self, origin: str, result: "TiledSegmentation", bars: "PhotoBars") -> None:
        """Print how a photo was cut, once why it took much memory, and keep it for `--json`."""
        from galago.runtime.tiling.row_reader import can_read_rows

        grid = result.grid
        self.told[origin] = {
            "size": grid.size,
            "tile": grid.tile,
            "overlap": grid.overlap,
            "tiles": grid.count,
        }
        shape, tile = (f"{height} x {width}" for height, width in (grid.size, grid.tile))
        line = f"{origin}: {shape} pixels (height x width), labeled in {grid.count} tiles of {tile}, overlap {grid.overlap}"
        bars.say(line)
        if result.whole and grid.size[0] * grid.size[1] > LARGEST_WHOLE and not self._warned:
            self._warned = True
            advice = (
                "save it as TIFF, PNG or JPEG in RGB"
                if can_read_rows()
                else "run: pip install 'galago[large]'"
            )
            memory_gb = 3e-9 * grid.size[0] * grid.size[1]
            line = f"It was decoded as a whole, {memory_gb:.1f} GB. To read such photos in strips, {advice}"
            bars.say(line)


def needs_tiles(size: tuple[int, ...], segmenter: "Segmenter") -> bool:
    """Tell whether a photo that nobody said anything about goes through tiles.

    With a resize rule, or --imgsz, the network gets a photo of one size, whatever the photo's own
    is: it never does. Without one it does where it is large, and where the model takes one size and
    the photo has another, or the engine's file does and the photo is larger.
    """
    from galago.spec import SIZE_MULTIPLE

    spec = segmenter.spec
    if segmenter.imgsz or spec.resize != "keep" or SIZE_MULTIPLE % spec.output_stride:
        return False
    if spec.input_size:
        return tuple(-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in size) != spec.input_size
    if fixed := segmenter.fixed_size:
        return size[0] > fixed[0] or size[1] > fixed[1]
    return size[0] * size[1] > LARGEST_WHOLE


def plan(
    segmenter: "Segmenter", tile: int | None, overlap: int | None, *, out: Path | None, alpha: float
) -> TileJob:
    """Check the flags, as long as nothing has been read.

    Args:
        segmenter: the model.
        tile: side of a tile in pixels, 0 for no tiles, None where the photo decides.
        overlap: pixels that neighbors share, None for the usual.
        out: folder for label maps and overlays, if wanted.
        alpha: strength of the colors, 0 to 1.
    Raises:
        ConfigError: tile and overlap do not suit each other, the model, or a size that photos are
            fitted into.
    """
    from dataclasses import replace

    from galago.errors import ConfigError
    from galago.runtime.tiling.tiles import TileConfig

    if tile == NEVER and overlap is not None:
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
    wanted = None if tile is None else tile != NEVER
    return TileJob(segmenter=segmenter, config=config, wanted=wanted, out=out, alpha=alpha)


def check_flags(
    tile: int | None, overlap: int | None, *, video: bool, smooth: float, confidence: bool
) -> None:
    """Refuse tiles and confidence for a video and together, and tiles with what belongs to a video.

    Raises:
        ConfigError: they were asked for.
    """
    from galago.errors import ConfigError

    if video and (tile is not None or overlap is not None):
        raise ConfigError(
            "--tile and --overlap are for photos, got a video, camera or stream. Leave them out."
        )
    if confidence and (video or tile):
        raise ConfigError(
            "--confidence is for photos that are labeled at once, without --tile, and not for "
            "videos. Leave it out."
        )
    if tile and smooth:
        raise ConfigError(
            "--tile labels each photo for itself, --smooth averages over frames. Leave one of them "
            "out."
        )
