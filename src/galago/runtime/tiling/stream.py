"""Label a large image tile by tile into a file; memory grows with its width, not its height."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from galago import image as images
from galago._core.png import IndexedPNG
from galago.errors import ImageError
from galago.labels import Color
from galago.runtime.result import shares_by_name
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling.row_reader import ArrayRowReader, RowReader, open_row_reader
from galago.runtime.tiling.tiles import TileConfig, TiledLabels, TileGrid

LONGEST = 4096  # pixels of the overlay's long side
BAND_ROWS = 256  # rows of the overlay that are colored at once


class DownscaledOverlay:
    """A scaled-down overlay that is built from rows of an image and of its labels.

    Pixels are averaged over squares, labels are taken from the middle of each square. An image
    whose long side is short enough keeps its size.

    Attributes:
        factor: side of a square in pixels.
        size: (height, width) of the overlay.
    """

    def __init__(self, size: tuple[int, int], longest: int = LONGEST) -> None:
        """Start an overlay of an image of `size` whose long side is at most `longest`."""
        self.factor = -(-max(size) // longest)
        self.size = (-(-size[0] // self.factor), -(-size[1] // self.factor))
        self._whole = size
        self._image = np.empty((*self.size, 3), np.uint8)
        self._labels = np.empty(self.size, np.uint8)
        half = self.factor // 2
        self._rows = np.minimum(np.arange(self.size[0]) * self.factor + half, size[0] - 1)
        self._columns = np.minimum(np.arange(self.size[1]) * self.factor + half, size[1] - 1)
        self._waiting = np.empty((0, size[1], 3), np.uint8)  # rows of an incomplete square
        self._averaged = 0  # rows of the overlay so far
        self._read = 0  # rows of the image so far
        self._labeled = 0  # rows of the labels so far

    def add_image(self, rows: np.ndarray) -> None:
        """Add the next rows of the image, (n, W, 3) uint8 RGB."""
        self._read += len(rows)
        rows = np.concatenate([self._waiting, rows]) if len(self._waiting) else rows
        missing = -len(rows) % self.factor if self._read == self._whole[0] else 0
        count = (len(rows) + missing) // self.factor
        self._waiting = rows[count * self.factor :].copy()
        if not count:
            return
        height, width = count * self.factor, self.size[1] * self.factor
        squares = rows[:height]
        if missing or width > self._whole[1]:  # incomplete squares at the border: repeat it
            squares = cv2.copyMakeBorder(
                squares, 0, height - len(squares), 0, width - self._whole[1], cv2.BORDER_REPLICATE
            )
        small = cv2.resize(squares, (self.size[1], count), interpolation=cv2.INTER_AREA)
        self._image[self._averaged : self._averaged + count] = small
        self._averaged += count

    def add_labels(self, rows: np.ndarray) -> None:
        """Add the next rows of the labels, (n, W) uint8."""
        first, end = np.searchsorted(self._rows, (self._labeled, self._labeled + len(rows)))
        self._labels[first:end] = rows[self._rows[first:end] - self._labeled].take(
            self._columns, axis=1
        )
        self._labeled += len(rows)

    def render(self, palette: Sequence[Color], alpha: float = 0.5) -> np.ndarray:
        """Return the image under the colors of its labels, (h, w, 3) uint8 RGB; can be called once.

        Args:
            palette: one RGB color per class.
            alpha: strength of the colors, 0 to 1; see `galago.image.overlay`.
        """
        for top in reversed(range(0, self.size[0], BAND_ROWS)):
            above = min(top, 1)  # whether a pixel is on a border depends on the row above
            band = slice(top - above, top + BAND_ROWS)
            self._image[top : top + BAND_ROWS] = images.overlay(
                self._image[band], self._labels[band], palette, alpha
            )[above:]
        return self._image


@dataclass(frozen=True, eq=False, kw_only=True)
class TiledSegmentation:
    """Facts about an image whose labels were written to a file strip by strip.

    Attributes:
        counts: (K,) int64 pixels of each class.
        names: one per class.
        palette: one RGB color per class.
        grid: the positions of the tiles.
        preview: (h, w, 3) uint8 RGB, the image under the colors of its labels, scaled down to 4096
            pixels along its long side.
        speed: milliseconds spent on `read`, `pre`, `infer`, `post` and `save`.
        whole: whether the image was decoded as a whole, because it could not be read strip by
            strip.
        note: what is odd about the image.
    """

    counts: np.ndarray
    names: tuple[str, ...]
    palette: tuple[Color, ...]
    grid: TileGrid
    preview: np.ndarray
    speed: dict[str, float]
    whole: bool
    note: str | None = None

    def areas(self) -> dict[str, float]:
        """Return the share of each class that occurs, 0 to 1, the largest first."""
        return shares_by_name(self.counts, self.names)

    def overlay(self, *, legend: bool = True) -> np.ndarray:
        """Return the preview, with a legend of class names under it."""
        if not legend:
            return self.preview
        colors = dict(zip(self.names, self.palette, strict=True))
        return images.draw_legend(self.preview, self.areas(), colors)


class _PreviewedRowReader:
    """A row reader that adds all rows to an overlay as well."""

    def __init__(self, reader: RowReader, overlay: DownscaledOverlay) -> None:
        self.size = reader.size
        self._reader = reader
        self._overlay = overlay

    def read(self, count: int) -> np.ndarray:
        """Return the next rows."""
        rows = self._reader.read(count)
        self._overlay.add_image(rows)
        return rows

    def describe_depth(self) -> str | None:
        """Return a note if the file does not use its 16 bits."""
        return self._reader.describe_depth()


def save_in_tiles(
    segmenter: Segmenter,
    image: np.ndarray | str | Path,
    *,
    files: tuple[Path, Path] | None,
    config: TileConfig,
    alpha: float = 0.5,
    advance: Callable[[int, int], None] | None = None,
) -> TiledSegmentation:
    """Label an image tile by tile and write its labels on the way; neither has to fit into memory.

    Args:
        segmenter: what `galago.load` returns.
        image: path of an image file, read strip by strip where pyvips is installed; or an
            (H, W, 3) uint8 RGB array.
        files: where to write the labels, an indexed PNG, and the overlay, a JPEG of at most 4096
            pixels along its long side; see `galago.runtime.result.written_files`. None writes
            nothing.
        config: how to cut the image.
        alpha: strength of the colors in the overlay.
        advance: called after each tile with the number of those done and of all.
    Raises:
        ConfigError: the tiles do not suit the model.
        ImageError: the image cannot be read to its end, or a file cannot be written or would
            replace the image; then no incomplete file is left.
        ModelError: the network gives values that are not finite, or of another shape than its
            description says.
    """
    path = None if isinstance(image, np.ndarray) else Path(image)
    if files and path and path.resolve() in [file.resolve() for file in files]:
        raise ImageError(f"The labels would replace the photo {path}. Choose another folder.")
    start = perf_counter()
    reader = open_row_reader(image)
    opened_ms = 1000 * (perf_counter() - start)
    overlay = DownscaledOverlay(reader.size)
    labels = TiledLabels(segmenter, _PreviewedRowReader(reader, overlay), config, advance=advance)
    spec = segmenter.spec
    counts = np.zeros(spec.num_classes, np.int64)
    save_ms = 0.0
    with ExitStack() as stack:
        file: IndexedPNG | None = None
        if files:
            file = stack.enter_context(images.label_file(files[0], reader.size, spec.palette))
        for rows in labels:
            start = perf_counter()
            counts += np.bincount(rows.ravel(), minlength=spec.num_classes)
            overlay.add_labels(rows)
            if file:
                file.write(rows)
            save_ms += 1000 * (perf_counter() - start)
        start = perf_counter()
    result = TiledSegmentation(
        counts=counts,
        names=spec.classes,
        palette=spec.palette,
        grid=labels.grid,
        preview=overlay.render(spec.palette, alpha),
        speed=labels.speed,
        whole=isinstance(reader, ArrayRowReader),
        note=reader.describe_depth(),
    )
    result.speed["read"] += opened_ms
    if files:
        try:
            images.save(files[1], result.overlay())
        except ImageError:  # both files or none
            files[0].unlink(missing_ok=True)
            raise
        result.speed["save"] = save_ms + 1000 * (perf_counter() - start)
    return result
