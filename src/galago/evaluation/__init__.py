"""Scores for any predict function on any data set; needs no torch."""

from galago.evaluation.evaluate import evaluate
from galago.evaluation.metrics import Scores, confusion

__all__ = ["Scores", "confusion", "evaluate"]
