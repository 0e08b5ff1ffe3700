"""A picture of how a run is doing: photos, true labels and predicted labels side by side."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from galago import image as images
from galago.data.sample import Dataset

PANEL_PHOTOS = 4
SHOWN_WIDTH = 1600  # pixels of a panel within a page


def write_panel(path: Path, predict: Callable[[np.ndarray], np.ndarray], dataset: Dataset) -> None:
    """Write a few photos of a data set, evenly spread, each with its true and its predicted labels."""
    palette = dataset.labels.colors
    rows = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, PANEL_PHOTOS).astype(int)):
        sample = dataset[int(index)]
        guess = predict(sample.image)
        rows.append(
            np.hstack(
                [
                    sample.image,
                    *(images.colorize(labels, palette) for labels in (sample.labels, guess)),
                ]
            )
        )
    width = min(row.shape[1] for row in rows)  # photos of different sizes: the smallest decides
    images.save(
        path,
        np.vstack(
            [cv2.resize(row, (width, round(row.shape[0] * width / row.shape[1]))) for row in rows]
        ),
    )


def read_panel(path: Path) -> np.ndarray:
    """Read a panel, (H, W, 3) uint8 RGB, scaled down to what a page shows.

    Raises:
        ImageError: it cannot be read.
    """
    panel = images.load(path)
    height, width = panel.shape[:2]
    if width <= SHOWN_WIDTH:
        return panel
    return cv2.resize(
        panel, (SHOWN_WIDTH, round(height * SHOWN_WIDTH / width)), interpolation=cv2.INTER_AREA
    )
