"""Scores for any predict function on any data set; needs no torch."""

from galago.evaluation.evaluate import Guess, evaluate, examine
from galago.evaluation.metrics import Scores, confusion
from galago.evaluation.results import Evaluation
from galago.evaluation.tta import Views

__all__ = ["Evaluation", "Guess", "Scores", "Views", "confusion", "evaluate", "examine"]
