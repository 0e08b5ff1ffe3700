"""evaluate and evaluate_full: score any predict function on any data set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from galago.data import Dataset, Sample
from galago.errors import ConfigError, DataError
from galago.evaluation.boundary import BoundaryScores, boundary_counts
from galago.evaluation.calibration import BINS, Calibration, calibration_counts
from galago.evaluation.label_counts import (
    by_label,
    class_counts,
    label_counts,
    right_classes,
    settle,
)
from galago.evaluation.metrics import LEVEL, RESAMPLES, Scores, mean_iou_interval
from galago.evaluation.worst_samples import WorstSample, WorstSamples
from galago.labels import LabelSet


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model predicts for an image.

    Attributes:
        labels: (H, W) uint8 class ids, in the order of the data set's classes.
        confidence: (H, W) float32 probability of each pixel's class, 0 to 1; None if not requested.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """All scores of a model on a data set, from `evaluate_full`.

    Attributes:
        label_set: names and colors of the classes.
        scores: of the whole set.
        interval: lower and upper end of the mean IoU, 95 percent, by the bootstrap over images.
        boundary: boundary IoU; None if not requested.
        calibration: confidence against accuracy; None if not requested.
        worst: the samples of the lowest mean IoU, the worst one first.
    """

    label_set: LabelSet
    scores: Scores
    interval: tuple[float, float]
    boundary: BoundaryScores | None = None
    calibration: Calibration | None = None
    worst: tuple[WorstSample, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return all scores as JSON values: numbers from 0 to 1, None for n/a."""
        return self.scores.summary() | {
            "mean_iou_interval": {
                "lower": self.interval[0],
                "upper": self.interval[1],
                "level": LEVEL,
                "resamples": RESAMPLES,
            },
            "boundary": self.boundary.summary() if self.boundary else None,
            "calibration": self.calibration.summary() if self.calibration else None,
            "worst": [
                {"name": sample.name, "mean_iou": sample.mean_iou, "wrong": sample.wrong}
                for sample in self.worst
            ],
        }

    def figures(self) -> list[tuple[str, str]]:
        """Return the figures of the whole set, each as its value and its meaning."""
        scores, (lower, upper) = self.scores, self.interval
        interval = f"its {LEVEL:.0%} interval over {RESAMPLES} draws of the photos"
        figures = [
            (_score(scores.mean_iou), "mean IoU over the classes that occur in the ground truth"),
            ("", f"{_score(lower)} to {_score(upper)}: {interval}"),
            (
                _score(scores.mean_iou_all_classes),
                "mean IoU where a class that is only predicted counts as 0",
            ),
            (_score(scores.pixel_accuracy), "pixel accuracy"),
            (
                _score(scores.mean_accuracy),
                "mean accuracy over the classes that occur in the ground truth",
            ),
        ]
        if scores.sets:
            meaning = (
                "of the pixels have a label of several classes; means are over classes and such "
                "labels"
            )
            figures.append((f"{sum(scores.set_share):.2%}", meaning))
        if scores.excused:
            meaning = "pixels not counted: a class was predicted that the masks cannot show there"
            figures.append((f"{scores.excused:,}", meaning))
        if self.boundary:
            meaning = "mean boundary IoU of the classes that occur in the ground truth"
            figures.append((_score(self.boundary.mean_iou), meaning))
        if self.calibration:
            figures += [
                (
                    _score(self.calibration.error),
                    "expected calibration error of the class probabilities",
                ),
                (
                    _score(self.calibration.mean_confidence),
                    "mean probability of the predicted class",
                ),
            ]
        return figures


def _score(value: float) -> str:
    return f"{value:.4f}"


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    dataset: Dataset,
    *,
    on_sample: Callable[[Sample, np.ndarray], None] | None = None,
) -> Scores:
    """Score a predict function on a data set by one confusion matrix over all pixels.

    Args:
        predict: (H, W, 3) uint8 RGB image to (H, W) uint8 class ids, in the order of the data set's
            classes.
        dataset: images and targets.
        on_sample: called after each image with the sample and its predicted labels, for example to
            advance a progress bar.
    Raises:
        DataError: a prediction has another size than its image or an id without a class, or nothing
            in the set is labeled.
    """
    label_set = dataset.label_set
    total = np.zeros((len(label_set) + len(label_set.sets), len(label_set)), np.int64)
    for sample, pred, counts in iter_predictions(lambda image: Prediction(predict(image)), dataset):
        total += counts
        if on_sample:
            on_sample(sample, pred.labels)
    return Scores.of(label_set, total)


def evaluate_full(
    predict: Callable[[np.ndarray], Prediction],
    dataset: Dataset,
    *,
    boundary: bool = False,
    calibration: bool = False,
    on_sample: Callable[[], None] | None = None,
) -> Evaluation:
    """Score as `evaluate` does, with an interval, the worst samples and optional further scores.

    Args:
        predict: (H, W, 3) uint8 RGB image to the prediction of a model.
        dataset: images and targets.
        boundary: whether to compute boundary IoU.
        calibration: whether to compare confidence and accuracy.
        on_sample: called after each image, for example to advance a progress bar.
    Raises:
        ConfigError: calibration is requested, and a prediction has no confidence.
        DataError: a prediction has another size than its image or an id without a class, or nothing
            in the set is labeled.
    """
    label_set, num_classes = dataset.label_set, len(dataset.label_set)
    total = np.zeros((num_classes + len(label_set.sets), num_classes), np.int64)
    boundary_total = np.zeros((3, num_classes), np.int64)
    calibration_total = np.zeros((3, BINS))
    counts_per_image, worst = [], WorstSamples()
    for sample, pred, counts in iter_predictions(predict, dataset):
        total += counts
        rows, sets, _ = by_label(label_set, counts)
        counts_per_image.append(class_counts(rows, right_classes(num_classes, sets)))
        worst.add(sample, pred.labels, counts_per_image[-1])
        if boundary:
            target = settle(sample.labels, pred.labels, label_set, sets=False)
            boundary_total += boundary_counts(target, pred.labels, num_classes)
        if calibration:
            calibration_total += _calibration_of(sample, pred, label_set)
        if on_sample:
            on_sample()
    return Evaluation(
        label_set=label_set,
        scores=Scores.of(label_set, total),
        interval=mean_iou_interval(np.stack(counts_per_image)),
        boundary=BoundaryScores(label_set.names, boundary_total) if boundary else None,
        calibration=Calibration(calibration_total) if calibration else None,
        worst=tuple(worst.samples),
    )


def _calibration_of(sample: Sample, pred: Prediction, label_set: LabelSet) -> np.ndarray:
    """Return the `calibration_counts` of a sample.

    Raises:
        ConfigError: the prediction has no confidence.
    """
    if pred.confidence is None:
        raise ConfigError(
            "Calibration compares confidence and accuracy, but the prediction has no confidence."
        )
    target = settle(sample.labels, pred.labels, label_set)
    return calibration_counts(target, pred.labels, pred.confidence, len(label_set))


def iter_predictions(
    predict: Callable[[np.ndarray], Prediction], dataset: Dataset
) -> Iterator[tuple[Sample, Prediction, np.ndarray]]:
    """Yield each sample, its prediction, and the (K + S, K) int64 counts of labels by predicted
    class.

    Raises:
        DataError: a prediction has another size than its image or an id without a class.
    """
    for index in range(len(dataset)):
        sample = dataset[index]
        pred = predict(sample.image)
        try:
            counts = label_counts(sample.labels, pred.labels, dataset.label_set)
        except DataError as error:
            raise DataError(f"{sample.name}: {error}") from error
        yield sample, pred, counts


def check_classes(model: str, classes: tuple[str, ...], dataset: Dataset) -> None:
    """Refuse to score a model on classes that it does not know.

    Args:
        model: its name.
        classes: the names of its classes, in order.
        dataset: what it is to be scored on.
    Raises:
        ConfigError: the model knows other classes than the data set.
    """
    names = dataset.label_set.names
    if classes != names:
        raise ConfigError(
            f"The model {model} knows the classes {', '.join(classes)}, but the data set has "
            f"{', '.join(names)}. Use a model trained for these, or name them alike in the data "
            "set's YAML."
        )
