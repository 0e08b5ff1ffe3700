import numpy as np
import pytest

from galago.data import Sample
from galago.errors import DataError
from galago.evaluation import evaluate
from galago.labels import LabelSet


class Halves:
    """Two photos of 2 x 2 pixels: red is class 0, black class 1.

    The last pixel of each is unlabeled.
    """

    labels = LabelSet(("red", "black"), ((255, 0, 0), (0, 0, 0)))
    names = ("half", "all")

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        labels = np.array([[[0, 1], [0, 255]], [[0, 0], [0, 255]]][index], np.uint8)
        image = np.zeros((2, 2, 3), np.uint8)
        image[labels == 0] = (255, 0, 0)
        return Sample(self.names[index], image, labels)


def by_color(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] == 0).astype(np.uint8)


def test_a_perfect_function_scores_one():
    scores = evaluate(by_color, Halves())
    assert scores.names == ("red", "black")
    assert scores.confusion.tolist() == [[5, 0], [0, 1]]
    assert scores.mean_iou == scores.pixel_accuracy == 1.0


def test_a_function_that_always_says_red_gets_five_of_six_pixels():
    scores = evaluate(lambda image: np.zeros(image.shape[:2], np.uint8), Halves())
    assert scores.pixel_accuracy == pytest.approx(5 / 6)
    assert scores.iou == (pytest.approx(5 / 6), 0.0)


def test_reports_each_sample_with_its_prediction():
    seen = []
    evaluate(
        by_color,
        Halves(),
        on_sample=lambda sample, guess: seen.append((sample.name, int(guess.sum()))),
    )
    assert seen == [("half", 2), ("all", 1)]


def test_an_error_names_the_sample():
    with pytest.raises(DataError, match="half: Expected predicted labels 0 to 1, got 7"):
        evaluate(lambda image: np.full(image.shape[:2], 7, np.uint8), Halves())
