"""Scores for any predict function on any data set; needs no torch."""

from galago.evaluation.evaluate import Prediction, evaluate, evaluate_full
from galago.evaluation.metrics import Scores, confusion
from galago.evaluation.results import Evaluation
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
