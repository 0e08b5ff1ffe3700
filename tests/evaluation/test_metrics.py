import numpy as np
import pytest

from galago.errors import ConfigError, DataError
from galago.evaluation import Scores, confusion
from galago.evaluation.label_counts import class_counts
from galago.evaluation.metrics import mean_iou_interval

NAMES = ("road", "car", "sky")


@pytest.fixture
def scores() -> Scores:
    """Road: 6 pixels, 4 found; car: 2, both found; sky: absent, but claimed once."""
    return Scores(NAMES, np.array([[4, 1, 1], [0, 2, 0], [0, 0, 0]]))


def test_rows_are_true_classes_and_columns_predicted_ones():
    target, pred = np.array([[0, 0, 0, 1]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8)
    assert confusion(target, pred, num_classes=2).tolist() == [[1, 2], [1, 0]]


def test_unlabeled_pixels_do_not_count():
    target, pred = np.array([[0, 1], [1, 255]], np.uint8), np.array([[0, 1], [0, 1]], np.uint8)
    counts = confusion(target, pred, num_classes=2)
    assert counts.sum() == 3
    # each class: 1 pixel shared, 2 in the union
    assert Scores(("a", "b"), counts).mean_iou == pytest.approx(0.5)


def test_counts_many_classes_without_overflow():
    target = pred = np.full((300, 300), 253, np.uint8)
    counts = confusion(target, pred, num_classes=254)
    assert counts[253, 253] == counts.sum() == 90_000
    assert counts.dtype == np.int64


def test_a_guess_of_another_shape_is_an_error():
    with pytest.raises(DataError, match=r"of the mask's shape \(2, 2\), got \(2, 1\)"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 1), np.uint8), num_classes=2)


def test_a_guess_of_an_unknown_class_is_an_error():
    with pytest.raises(DataError, match=r"labels 0 to 1, got 2\. Is the model for other classes"):
        confusion(np.zeros((1, 1), np.uint8), np.full((1, 1), 2, np.uint8), num_classes=2)


def test_scores_of_each_class_can_be_checked_by_hand(scores: Scores):
    assert scores.iou == (pytest.approx(4 / 6), pytest.approx(2 / 3), None)
    assert scores.dice == (pytest.approx(8 / 10), pytest.approx(4 / 5), None)
    assert scores.accuracy == (pytest.approx(4 / 6), pytest.approx(1.0), None)
    assert scores.share == (pytest.approx(6 / 8), pytest.approx(2 / 8), 0.0)
    assert scores.pixel_accuracy == pytest.approx(6 / 8)


def test_means_leave_out_a_class_that_is_absent_from_the_ground_truth(scores: Scores):
    assert scores.mean_iou == pytest.approx((4 / 6 + 2 / 3) / 2)
    assert scores.mean_accuracy == pytest.approx((4 / 6 + 1) / 2)
    assert scores.mean_dice == pytest.approx(0.8)


def test_the_other_convention_counts_a_class_that_is_only_claimed_as_zero(scores: Scores):
    assert scores.mean_iou_all_classes == pytest.approx((4 / 6 + 2 / 3 + 0) / 3)


def test_both_conventions_leave_out_a_class_that_occurs_nowhere():
    scores = Scores(NAMES, np.array([[4, 0, 0], [0, 2, 0], [0, 0, 0]]))
    assert scores.mean_iou == scores.mean_iou_all_classes == 1.0


def test_scores_of_a_whole_set_come_from_its_pixels_and_not_from_its_photos():
    # photo 1: the class fills 1 pixel, missed; photo 2: 3 pixels, found; the mean over photos would
    # be 0.5
    whole = Scores(("a", "b"), np.array([[3, 1], [0, 0]]))
    assert whole.iou[0] == pytest.approx(3 / 4)


def test_names_that_do_not_fit_the_matrix_are_an_error():
    with pytest.raises(ConfigError, match=r"a 3 x 3 confusion matrix .* got shape \(2, 2\)"):
        Scores(NAMES, np.eye(2))


def test_a_set_without_a_labeled_pixel_is_an_error():
    with pytest.raises(DataError, match="no pixel of the data set carries a class"):
        Scores(NAMES, np.zeros((3, 3), np.int64))


def test_the_summary_has_none_for_an_absent_class(scores: Scores):
    summary = scores.summary()
    assert summary["classes"][2] == {
        "name": "sky",
        "iou": None,
        "accuracy": None,
        "dice": None,
        "share": 0.0,
    }
    assert summary["confusion"] == [[4, 1, 1], [0, 2, 0], [0, 0, 0]]


def test_a_tally_keeps_what_iou_needs():
    assert class_counts(np.array([[4, 1], [2, 3]])).tolist() == [[4, 3], [5, 5], [6, 4]]


def test_the_interval_of_identical_photos_has_no_width():
    counts = np.array([[4, 1], [2, 3]])
    lower, upper = mean_iou_interval(np.stack([class_counts(counts)] * 7))
    assert lower == upper == pytest.approx(Scores(("a", "b"), counts).mean_iou)


def test_the_interval_of_one_class_and_two_photos_can_be_checked_by_hand():
    # one photo all right, one all wrong: a draw holds 2, 1 or 0 of the good ones, with 1/4, 1/2,
    # 1/4
    good, bad = np.array([[10, 0], [0, 0]]), np.array([[0, 10], [0, 0]])
    assert mean_iou_interval(np.stack([class_counts(good), class_counts(bad)])) == (0.0, 1.0)


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
    photos = np.stack([class_counts(rng.integers(0, 9, (3, 3))) for _ in range(20)])
    assert mean_iou_interval(photos) == mean_iou_interval(photos)
    assert mean_iou_interval(photos) != mean_iou_interval(photos, seed=1)


def test_draws_leave_out_classes_and_photos_without_a_label():
    nothing, road = np.zeros((2, 2), np.int64), np.array([[5, 0], [0, 0]])
    assert mean_iou_interval(np.stack([class_counts(nothing), class_counts(road)])) == (1.0, 1.0)
