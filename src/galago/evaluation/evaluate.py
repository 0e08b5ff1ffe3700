"""evaluate: score any predict function on any data set."""

from collections.abc import Callable

import numpy as np

from galago.data import Dataset, Sample
from galago.errors import DataError
from galago.evaluation.metrics import Scores, confusion


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    dataset: Dataset,
    *,
    on_sample: Callable[[Sample, np.ndarray], None] | None = None,
) -> Scores:
    """Label every photo of a data set and count all its pixels in one confusion matrix.

    Args:
        predict: (H, W, 3) uint8 RGB image to (H, W) uint8 class ids, in the order of the data set's classes.
        dataset: where photos and true labels come from.
        on_sample: called after each photo with the sample and its predicted labels, as for a progress bar or a panel.
    Raises:
        DataError: a prediction has another size than its photo or an id without a class, or nothing in the set is labeled.
    """
    num_classes = len(dataset.labels)
    counts = np.zeros((num_classes, num_classes), np.int64)
    for index in range(len(dataset)):
        sample = dataset[index]
        guess = predict(sample.image)
        try:
            counts += confusion(sample.labels, guess, num_classes)
        except DataError as error:
            raise DataError(f"{sample.name}: {error}") from error
        if on_sample:
            on_sample(sample, guess)
    return Scores(dataset.labels.names, counts)
