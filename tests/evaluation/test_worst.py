import numpy as np
import pytest

from galago.data import Sample
from galago.evaluation.label_counts import tally
from galago.evaluation.metrics import confusion
from galago.evaluation.worst import LONGEST, Worst


def add(worst: Worst, name: str, wrong: int, size: tuple[int, int] = (1, 10)) -> None:
    """Show a photo of class 0 alone, of which some pixels are taken for class 1."""
    truth, guess = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    guess.reshape(-1)[:wrong] = 1
    worst.add(
        Sample(name, np.zeros((*size, 3), np.uint8), truth),
        guess,
        tally(confusion(truth, guess, num_classes=2)),
    )


def test_keeps_the_worst_photos_the_worst_first():
    worst = Worst(kept=3)
    for name, wrong in (("a", 1), ("b", 9), ("c", 0), ("d", 5), ("e", 7)):
        add(worst, name, wrong)
    assert [photo.name for photo in worst.photos] == ["b", "e", "d"]
    assert worst.photos[0].mean_iou == pytest.approx(0.1)
    assert worst.photos[0].wrong == pytest.approx(0.9)


def test_large_photos_are_kept_small():
    worst = Worst()
    add(worst, "large", 5, size=(1000, 2000))
    photo = worst.photos[0]
    assert photo.image.shape == (LONGEST // 2, LONGEST, 3)
    assert photo.truth.shape == photo.guess.shape == (LONGEST // 2, LONGEST)


def test_a_photo_without_labels_is_passed_over():
    worst = Worst()
    truth = np.full((2, 2), 255, np.uint8)
    worst.add(
        Sample("empty", np.zeros((2, 2, 3), np.uint8), truth),
        np.zeros_like(truth),
        np.zeros((3, 2), np.int64),
    )
    assert worst.photos == []
