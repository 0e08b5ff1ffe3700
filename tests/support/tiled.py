"""An image labeled in tiles, with all labels in memory."""

from pathlib import Path

import numpy as np

from galago import image as images
from galago.runtime.result import Segmentation
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling.row_reader import open_row_reader
from galago.runtime.tiling.tiles import TileConfig, TiledLabels


def label_in_tiles(
    segmenter: Segmenter,
    image: np.ndarray | Path,
    *,
    tile: int | None = None,
    overlap: int | None = None,
) -> Segmentation:
    """Return what `TiledLabels` gives for (H, W, 3) uint8 RGB or a file; see `TileConfig`."""
    labels = TiledLabels(segmenter, open_row_reader(image), TileConfig(tile=tile, overlap=overlap))
    return Segmentation(
        labels=np.concatenate(list(labels)),
        names=segmenter.spec.classes,
        palette=segmenter.spec.palette,
        image=images.load(image) if isinstance(image, Path) else image,
        path=image if isinstance(image, Path) else None,
        speed=labels.speed,
    )
