import numpy as np
import pytest

from galago.evaluation.label_counts import tally
from galago.evaluation.metrics import Scores, mean_iou_interval


def test_a_tally_keeps_what_iou_needs():
    assert tally(np.array([[4, 1], [2, 3]])).tolist() == [[4, 3], [5, 5], [6, 4]]


def test_the_interval_of_identical_photos_has_no_width():
    counts = np.array([[4, 1], [2, 3]])
    lower, upper = mean_iou_interval(np.stack([tally(counts)] * 7))
    assert lower == upper == pytest.approx(Scores(("a", "b"), counts).mean_iou)


def test_the_interval_of_one_class_and_two_photos_can_be_checked_by_hand():
    # one photo all right, one all wrong: a draw holds 2, 1 or 0 of the good ones, with 1/4, 1/2,
    # 1/4
    good, bad = np.array([[10, 0], [0, 0]]), np.array([[0, 10], [0, 0]])
    assert mean_iou_interval(np.stack([tally(good), tally(bad)])) == (0.0, 1.0)


def test_the_interval_narrows_with_the_root_of_the_number_of_photos():
    rng = np.random.default_rng(1)
    found = rng.integers(0, 101, 1600)
    photos = np.array([[[right, 0], [100, 0], [right, 100 - right]] for right in found])
    narrow, wide = (np.ptp(mean_iou_interval(part)) for part in (photos, photos[:100]))
    # the standard deviation of a photo's IoU is 0.29: 2 * 1.96 * 0.29 / sqrt(1600) = 0.028
    assert narrow == pytest.approx(0.028, rel=0.15)
    assert wide == pytest.approx(4 * narrow, rel=0.3)


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(2)
    photos = np.stack([tally(rng.integers(0, 9, (3, 3))) for _ in range(20)])
    assert mean_iou_interval(photos) == mean_iou_interval(photos)
    assert mean_iou_interval(photos) != mean_iou_interval(photos, seed=1)


def test_draws_leave_out_classes_and_photos_without_a_label():
    nothing, road = np.zeros((2, 2), np.int64), np.array([[5, 0], [0, 0]])
    assert mean_iou_interval(np.stack([tally(nothing), tally(road)])) == (1.0, 1.0)
