"""Scores for any predict function on any data set; needs no torch."""

from galago.evaluation.evaluate import Evaluation, Prediction, evaluate, evaluate_full
from galago.evaluation.label_counts import confusion
from galago.evaluation.metrics import Scores
from galago.evaluation.tta import TTAConfig

__all__ = [
    "Evaluation",
    "Prediction",
    "Scores",
    "TTAConfig",
    "confusion",
    "evaluate",
    "evaluate_full",
]
