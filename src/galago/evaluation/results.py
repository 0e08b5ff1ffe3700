"""Evaluation: all that was found out about a model on a data set, and the files that it becomes."""

from dataclasses import dataclass
from typing import Any

from galago.evaluation.boundary import BoundaryScores
from galago.evaluation.calibration import Calibration
from galago.evaluation.metrics import LEVEL, RESAMPLES, Scores
from galago.evaluation.worst import WorstSample
from galago.labels import LabelSet


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What `evaluate_full` found.

    Attributes:
        labels: names and colors of the classes.
        scores: of the whole set.
        interval: lower and upper end of the mean IoU, 95 percent, by drawing the photos again.
        boundary: how well outlines are met; None where nobody asked.
        calibration: how well confidence fits; None where nobody asked.
        worst: the photos of the lowest mean IoU, the worst one first.
    """

    labels: LabelSet
    scores: Scores
    interval: tuple[float, float]
    boundary: BoundaryScores | None = None
    calibration: Calibration | None = None
    worst: tuple[WorstSample, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return all scores as JSON knows them: numbers from 0 to 1, None for n/a."""
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
                {"name": photo.name, "mean_iou": photo.mean_iou, "wrong": photo.wrong}
                for photo in self.worst
            ],
        }

    def figures(self) -> list[tuple[str, str]]:
        """Return the figures of the whole set, each as its value and what it means."""
        scores, (lower, upper) = self.scores, self.interval
        figures = [
            (f"{scores.mean_iou:.4f}", "mean IoU over the classes that occur in the ground truth"),
            (
                "",
                f"{lower:.4f} to {upper:.4f}: its {LEVEL:.0%} interval over {RESAMPLES} draws of "
                "the photos",
            ),
            (
                f"{scores.mean_iou_all_classes:.4f}",
                "mean IoU where a class that is only predicted counts as 0",
            ),
            (f"{scores.pixel_accuracy:.4f}", "pixel accuracy"),
            (
                f"{scores.mean_accuracy:.4f}",
                "mean accuracy over the classes that occur in the ground truth",
            ),
        ]
        if scores.sets:
            share = sum(scores.set_share)
            figures.append(
                (
                    f"{share:.2%}",
                    "of the pixels have a label of several classes; means are over classes and "
                    "such labels",
                )
            )
        if scores.excused:
            figures.append(
                (
                    f"{scores.excused:,}",
                    "pixels not counted: a class was predicted that the masks cannot show there",
                )
            )
        if self.boundary:
            figures.append(
                (
                    f"{self.boundary.mean_iou:.4f}",
                    "mean boundary IoU of the classes that occur in the ground truth",
                )
            )
        if self.calibration:
            figures.append(
                (
                    f"{self.calibration.error:.4f}",
                    "expected calibration error of the class probabilities",
                )
            )
            figures.append(
                (
                    f"{self.calibration.mean_confidence:.4f}",
                    "mean probability of the predicted class",
                )
            )
        return figures
