"""Weights of classes by how often they occur."""

import numpy as np
from torch import Tensor, from_numpy

from galago.data.sample import Dataset, spread
from galago.labels import IGNORE_ID

PHOTOS = 500  # of a large data set that are counted


def class_weights(dataset: Dataset, power: float) -> Tensor | None:
    """Return (median frequency / frequency) ** power of each class, (K,) float32, or None for power 0.

    The frequencies are those of Eigen and Fergus, arXiv:1411.4734, section 4.3.2, over at most `PHOTOS` photos; a class that does
    not occur gets 1. Pixels whose label names several classes are shared among these alike.
    """
    if power == 0:
        return None
    counts = np.zeros(len(dataset.labels))
    photos = spread(dataset, PHOTOS)
    for index in range(len(photos)):
        pixels = np.bincount(photos[index].labels.ravel(), minlength=IGNORE_ID + 1)
        counts += pixels[: len(counts)]
        for found, shared in zip(dataset.labels.sets, pixels[len(counts) :], strict=False):
            counts[list(found.classes)] += shared / len(found.classes)
    occurs = counts > 0
    weights = np.ones(len(counts), np.float32)
    weights[occurs] = (np.median(counts[occurs]) / counts[occurs]) ** power
    return from_numpy(weights)
