import numpy as np
import pytest

from galago.data import Sample
from galago.evaluation import confusion
from galago.evaluation.label_counts import class_counts
from galago.evaluation.worst_samples import LONGEST, WorstSamples


def add(worst: WorstSamples, name: str, wrong: int, size: tuple[int, int] = (1, 10)) -> None:
    """Show a photo of class 0 alone, of which some pixels are taken for class 1."""
    target, pred = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    pred.reshape(-1)[:wrong] = 1
    worst.add(
        Sample(name, np.zeros((*size, 3), np.uint8), target),
        pred,
        class_counts(confusion(target, pred, num_classes=2)),
    )


def test_keeps_the_worst_photos_the_worst_first():
    worst = WorstSamples(max_samples=3)
    for name, wrong in (("a", 1), ("b", 9), ("c", 0), ("d", 5), ("e", 7)):
        add(worst, name, wrong)
    assert [photo.name for photo in worst.samples] == ["b", "e", "d"]
    assert worst.samples[0].mean_iou == pytest.approx(0.1)
    assert worst.samples[0].wrong == pytest.approx(0.9)


def test_large_photos_are_kept_small():
    worst = WorstSamples()
    add(worst, "large", 5, size=(1000, 2000))
    photo = worst.samples[0]
    assert photo.image.shape == (LONGEST // 2, LONGEST, 3)
    assert photo.target.shape == photo.pred.shape == (LONGEST // 2, LONGEST)


def test_a_photo_without_labels_is_passed_over():
    worst = WorstSamples()
    target = np.full((2, 2), 255, np.uint8)
    worst.add(
        Sample("empty", np.zeros((2, 2, 3), np.uint8), target),
        np.zeros_like(target),
        np.zeros((3, 2), np.int64),
    )
    assert worst.samples == []
