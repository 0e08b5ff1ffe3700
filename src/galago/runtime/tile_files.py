"""A large photo to label files, tile by tile: the memory it takes grows with the photo's width, not with its height."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from galago import image as images
from galago.errors import ImageError
from galago.labels import Color
from galago.png import IndexedPNG
from galago.runtime.preview import Preview
from galago.runtime.result import shares_by_name
from galago.runtime.segmenter import Segmenter
from galago.runtime.strips import ArrayStrips, Strips, open_strips
from galago.runtime.tiles import TileConfig, TiledLabels, TileGrid


@dataclass(frozen=True, eq=False, kw_only=True)
class TiledSegmentation:
    """What is known about a photo whose labels went into a file strip by strip.

    Attributes:
        counts: (K,) int64 pixels of each class.
        names: one per class.
        palette: one RGB color per class.
        grid: where the tiles lay.
        picture: (h, w, 3) uint8 RGB, the photo under the colors of its labels, scaled down to 4096 pixels along its long side.
        speed: milliseconds spent on `read`, `pre`, `infer`, `post` and `save`.
        whole: whether the photo was decoded as a whole, because it could not be read strip by strip.
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


class PreviewedStrips:
    """Strips of a photo that a preview sees as well."""

    def __init__(self, strips: Strips, preview: Preview) -> None:
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
    """Label a photo tile by tile and write its labels while they come, so that neither has to fit into memory.

    Args:
        segmenter: what `galago.load` returns.
        photo: path of a photo file, read strip by strip where pyvips is installed; or an (H, W, 3) uint8 RGB array.
        files: where to write the labels, an indexed PNG, and the overlay, a JPEG of at most 4096 pixels along its long side;
            see `galago.runtime.result.written_files`. None writes nothing.
        config: how to cut the photo.
        alpha: strength of the colors in the overlay.
        advance: called after each tile with the number of those done and of all.
    Raises:
        ConfigError: the tiles do not suit the model.
        ImageError: the photo cannot be read to its end, or a file cannot be written or would replace the photo; then neither
            file is left half.
        ModelError: the network gives values that are not finite, or of another form than its description says.
    """
    if files and not isinstance(photo, np.ndarray) and Path(photo).resolve() in [file.resolve() for file in files]:
        raise ImageError(f"The labels would replace the photo {photo}. Choose another folder.")
    start = perf_counter()
    strips = open_strips(photo)
    opened_ms = 1000 * (perf_counter() - start)
    preview = Preview(strips.size)
    labels = TiledLabels(segmenter, PreviewedStrips(strips, preview), config, advance=advance)
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
        speed=labels.speed, whole=isinstance(strips, ArrayStrips), note=strips.describe_depth(),
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
