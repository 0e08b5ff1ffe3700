"""A large photo to label files, tile by tile: the memory it takes grows with the photo's width, not
with its height.
"""

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

LONGEST = 4096  # pixels of the long side
BAND_ROWS = 256  # rows of the picture that are colored at once


class DownscaledOverlay:
    """Averages the pixels of a photo over squares, and takes the label in the middle of each.

    `picture` joins the two.

    A photo whose long side is short enough stays as it is.

    Attributes:
        factor: side of a square in pixels.
        size: (height, width) of the picture.
    """

    def __init__(self, size: tuple[int, int], longest: int = LONGEST) -> None:
        """Start a picture of a photo of `size` whose long side is at most `longest`."""
        self.factor = -(-max(size) // longest)
        self.size = (-(-size[0] // self.factor), -(-size[1] // self.factor))
        self._whole = size
        self._photo = np.empty((*self.size, 3), np.uint8)
        self._labels = np.empty(self.size, np.uint8)
        middles = (np.arange(side) * self.factor + self.factor // 2 for side in self.size)
        self._rows, self._columns = (
            np.minimum(middle, side - 1) for middle, side in zip(middles, size, strict=True)
        )
        self._waiting = np.empty((0, size[1], 3), np.uint8)
        self._averaged = self._read = self._labeled = (
            0  # rows of the picture, of the photo, of the labels so far
        )

    def add_photo(self, rows: np.ndarray) -> None:
        """Add the next rows of the photo, (n, W, 3) uint8 RGB."""
        self._read += len(rows)
        rows = np.concatenate([self._waiting, rows]) if len(self._waiting) else rows
        missing = -len(rows) % self.factor if self._read == self._whole[0] else 0
        count = (len(rows) + missing) // self.factor
        self._waiting = rows[count * self.factor :].copy()
        if not count:
            return
        height, width = count * self.factor, self.size[1] * self.factor
        squares = rows[:height]
        if (
            missing or width > self._whole[1]
        ):  # the last squares are not whole: their border repeats
            squares = cv2.copyMakeBorder(
                squares, 0, height - len(squares), 0, width - self._whole[1], cv2.BORDER_REPLICATE
            )
        small = cv2.resize(squares, (self.size[1], count), interpolation=cv2.INTER_AREA)
        self._photo[self._averaged : self._averaged + count] = small
        self._averaged += count

    def add_labels(self, rows: np.ndarray) -> None:
        """Add the next rows of the labels, (n, W) uint8."""
        first, end = np.searchsorted(self._rows, (self._labeled, self._labeled + len(rows)))
        self._labels[first:end] = rows[self._rows[first:end] - self._labeled].take(
            self._columns, axis=1
        )
        self._labeled += len(rows)

    def picture(self, palette: Sequence[Color], alpha: float = 0.5) -> np.ndarray:
        """Return the picture under the colors of its labels, (h, w, 3) uint8 RGB, as
        `galago.image.overlay`; ends the preview.
        """
        for top in reversed(range(0, self.size[0], BAND_ROWS)):
            above = min(top, 1)  # a border between classes is seen from the row above
            band = slice(top - above, top + BAND_ROWS)
            self._photo[top : top + BAND_ROWS] = images.overlay(
                self._photo[band], self._labels[band], palette, alpha
            )[above:]
        return self._photo


@dataclass(frozen=True, eq=False, kw_only=True)
class TiledSegmentation:
    """What is known about a photo whose labels went into a file strip by strip.

    Attributes:
        counts: (K,) int64 pixels of each class.
        names: one per class.
        palette: one RGB color per class.
        grid: where the tiles lay.
        picture: (h, w, 3) uint8 RGB, the photo under the colors of its labels, scaled down to 4096
            pixels along its long side.
        speed: milliseconds spent on `read`, `pre`, `infer`, `post` and `save`.
        whole: whether the photo was decoded as a whole, because it could not be read strip by
            strip.
        note: what is odd about the photo.
    """

    counts: np.ndarray
    names: tuple[str, ...]
    palette: tuple[Color, ...]
    grid: TileGrid
    picture: np.ndarray
    speed: dict[str, float]
    whole: bool
    note: str | None = None

    def areas(self) -> dict[str, float]:
        """Return the share of each class that occurs, 0 to 1, the largest first."""
        return shares_by_name(self.counts, self.names)

    def overlay(self, *, legend: bool = True) -> np.ndarray:
        """Return the picture, with a strip of names under it."""
        colors = dict(zip(self.names, self.palette, strict=True))
        return images.draw_legend(self.picture, self.areas(), colors) if legend else self.picture


class PreviewedRowReader:
    """Strips of a photo that a preview sees as well."""

    def __init__(self, strips: RowReader, preview: DownscaledOverlay) -> None:
        self.size, self._strips, self._preview = strips.size, strips, preview

    def read(self, count: int) -> np.ndarray:
        """Return the next rows."""
        rows = self._strips.read(count)
        self._preview.add_photo(rows)
        return rows

    def describe_depth(self) -> str | None:
        """Say that the file's 16 bits are not used, or nothing."""
        return self._strips.describe_depth()


def save_in_tiles(
    segmenter: Segmenter,
    photo: np.ndarray | str | Path,
    *,
    files: tuple[Path, Path] | None,
    config: TileConfig,
    alpha: float = 0.5,
    advance: Callable[[int, int], None] | None = None,
) -> TiledSegmentation:
    """Label a photo tile by tile and write its labels while they come, so that neither has to fit
    into memory.

    Args:
        segmenter: what `galago.load` returns.
        photo: path of a photo file, read strip by strip where pyvips is installed; or an (H, W, 3)
            uint8 RGB array.
        files: where to write the labels, an indexed PNG, and the overlay, a JPEG of at most 4096
            pixels along its long side; see `galago.runtime.result.written_files`. None writes
            nothing.
        config: how to cut the photo.
        alpha: strength of the colors in the overlay.
        advance: called after each tile with the number of those done and of all.
    Raises:
        ConfigError: the tiles do not suit the model.
        ImageError: the photo cannot be read to its end, or a file cannot be written or would
            replace the photo; then neither file is left half.
        ModelError: the network gives values that are not finite, or of another form than its
            description says.
    """
    if (
        files
        and not isinstance(photo, np.ndarray)
        and Path(photo).resolve() in [file.resolve() for file in files]
    ):
        raise ImageError(f"The labels would replace the photo {photo}. Choose another folder.")
    start = perf_counter()
    strips = open_row_reader(photo)
    opened_ms = 1000 * (perf_counter() - start)
    preview = DownscaledOverlay(strips.size)
    labels = TiledLabels(segmenter, PreviewedRowReader(strips, preview), config, advance=advance)
    spec, counts, save_ms = segmenter.spec, np.zeros(segmenter.spec.num_classes, np.int64), 0.0
    with ExitStack() as stack:
        file: IndexedPNG | None = None
        if files:
            file = stack.enter_context(images.label_file(files[0], strips.size, spec.palette))
        for rows in labels:
            start = perf_counter()
            counts += np.bincount(rows.ravel(), minlength=spec.num_classes)
            preview.add_labels(rows)
            if file:
                file.write(rows)
            save_ms += 1000 * (perf_counter() - start)
        start = perf_counter()
    result = TiledSegmentation(
        counts=counts, names=spec.classes, palette=spec.palette, grid=labels.grid, picture=preview.picture(spec.palette, alpha),
        speed=labels.speed, whole=isinstance(strips, ArrayRowReader), note=strips.describe_depth(),
    )  # fmt: skip
    result.speed["read"] += opened_ms
    if files:
        try:
            images.save(files[1], result.overlay())
        except ImageError:  # both files or none
            files[0].unlink(missing_ok=True)
            raise
        result.speed["save"] = save_ms + 1000 * (perf_counter() - start)
    return result
