"""evaluate and examine: score any predict function on any data set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from galago.data import Dataset, Sample
from galago.errors import ConfigError, DataError
from galago.evaluation.boundary import BoundaryScores, boundary_counts
from galago.evaluation.calibration import BINS, Calibration, calibration_counts
from galago.evaluation.label_counts import by_label, label_counts, right_classes, settle, tally
from galago.evaluation.metrics import Scores, mean_iou_interval
from galago.evaluation.results import Evaluation
from galago.evaluation.worst import Worst


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a photo.

    Attributes:
        labels: (H, W) uint8 class ids, in the order of the data set's classes.
        confidence: (H, W) float32 probability of each pixel's class, 0 to 1; None where nobody
            asked.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    dataset: Dataset,
    *,
    on_sample: Callable[[Sample, np.ndarray], None] | None = None,
) -> Scores:
    """Label every photo of a data set and count all its pixels in one confusion matrix.

    Args:
        predict: (H, W, 3) uint8 RGB image to (H, W) uint8 class ids, in the order of the data set's
            classes.
        dataset: where photos and true labels come from.
        on_sample: called after each photo with the sample and its predicted labels, as for a
            progress bar or a panel.
    Raises:
        DataError: a prediction has another size than its photo or an id without a class, or nothing
            in the set is labeled.
    """
    total = np.zeros(
        (len(dataset.labels) + len(dataset.labels.sets), len(dataset.labels)), np.int64
    )
    for sample, guess, counts in iter_predictions(
        lambda image: Prediction(predict(image)), dataset
    ):
        total += counts
        if on_sample:
            on_sample(sample, guess.labels)
    return Scores.of(dataset.labels, total)


def evaluate_full(
    predict: Callable[[np.ndarray], Prediction],
    dataset: Dataset,
    *,
    boundary: bool = False,
    calibration: bool = False,
    on_sample: Callable[[], None] | None = None,
) -> Evaluation:
    """Score a data set as `evaluate` does, and more: an interval, the worst photos, and what else
    is asked for.

    Args:
        predict: (H, W, 3) uint8 RGB image to what a model says of it.
        dataset: where photos and true labels come from.
        boundary: whether to compare outlines.
        calibration: whether to compare confidence and accuracy.
        on_sample: called after each photo, as for a progress bar.
    Raises:
        ConfigError: calibration is asked for, and a guess comes without confidence.
        DataError: as `evaluate`.
    """
    labels, num_classes = dataset.labels, len(dataset.labels)
    total = np.zeros((num_classes + len(labels.sets), num_classes), np.int64)
    near, sure = np.zeros((3, num_classes), np.int64), np.zeros((3, BINS))
    tallies, worst = [], Worst()
    for sample, guess, counts in iter_predictions(predict, dataset):
        total += counts
        rows, sets, _ = by_label(labels, counts)
        tallies.append(tally(rows, right_classes(num_classes, sets)))
        worst.add(sample, guess.labels, tallies[-1])
        if boundary:
            near += boundary_counts(
                settle(sample.labels, guess.labels, labels, sets=False), guess.labels, num_classes
            )
        if calibration:
            if guess.confidence is None:
                raise ConfigError(
                    "Calibration compares confidence and accuracy, but the guess has no confidence."
                )
            truth = settle(sample.labels, guess.labels, labels)
            sure += calibration_counts(truth, guess.labels, guess.confidence, num_classes)
        if on_sample:
            on_sample()
    return Evaluation(
        labels=labels,
        scores=Scores.of(labels, total),
        interval=mean_iou_interval(np.stack(tallies)),
        boundary=BoundaryScores(labels.names, near) if boundary else None,
        calibration=Calibration(sure) if calibration else None,
        worst=tuple(worst.photos),
    )


def iter_predictions(
    predict: Callable[[np.ndarray], Prediction], dataset: Dataset
) -> Iterator[tuple[Sample, Prediction, np.ndarray]]:
    """Go through a data set: each sample, what is said of it, and its (K + S, K) int64 counts of
    labels by predicted class.

    Raises:
        DataError: a prediction has another size than its photo or an id without a class.
    """
    for index in range(len(dataset)):
        sample = dataset[index]
        guess = predict(sample.image)
        try:
            counts = label_counts(sample.labels, guess.labels, dataset.labels)
        except DataError as error:
            raise DataError(f"{sample.name}: {error}") from error
        yield sample, guess, counts


def check_classes(model: str, classes: tuple[str, ...], dataset: Dataset) -> None:
    """Refuse to score a model on labels that it does not know.

    Args:
        model: its name.
        classes: the names of its classes, in order.
        dataset: what it is to be scored on.
    Raises:
        ConfigError: the model knows other classes than the data set.
    """
    if classes != dataset.labels.names:
        raise ConfigError(
            f"The model {model} knows the classes {', '.join(classes)}, but the data set has "
            f"{', '.join(dataset.labels.names)}. Use a model trained for these, or name them alike "
            "in the data set's YAML."
        )
