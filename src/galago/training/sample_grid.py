"""A picture of how a run is doing: images, true labels and predicted labels side by side."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from galago import image as images
from galago.data.sample import Dataset

MAX_IMAGES = 4
MAX_IMAGE_WIDTH = 1600  # pixels of one of the three columns
SHOWN_WIDTH = 1600  # pixels of the whole grid in a report


def write_grid(path: Path, predict: Callable[[np.ndarray], np.ndarray], dataset: Dataset) -> None:
    """Write a few images of a data set, evenly spaced, with their true and predicted labels.

    Args:
        path: image file to write.
        predict: (H, W, 3) uint8 RGB image to (H, W) uint8 labels.
        dataset: where images and true labels come from.
    """
    palette = dataset.label_set.colors
    rows = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, MAX_IMAGES).astype(int)):
        sample = dataset[int(index)]
        target = images.colorize(sample.labels, palette)
        pred = images.colorize(predict(sample.image), palette)
        rows.append(np.hstack([sample.image, target, pred]))
    width = min(3 * MAX_IMAGE_WIDTH, *(row.shape[1] for row in rows))
    images.save(path, np.vstack([_scale_to_width(row, width) for row in rows]))


def read_grid(path: Path) -> np.ndarray:
    """Return a grid, (H, W, 3) uint8 RGB, scaled down to the width of a report.

    Raises:
        ImageError: it cannot be read.
    """
    grid = images.load(path)
    return grid if grid.shape[1] <= SHOWN_WIDTH else _scale_to_width(grid, SHOWN_WIDTH)


def _scale_to_width(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[1] == width:
        return image
    size = (width, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
