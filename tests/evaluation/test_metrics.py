import numpy as np
import pytest

from galago.errors import ConfigError, DataError
from galago.evaluation import Scores, confusion

NAMES = ("road", "car", "sky")


@pytest.fixture
def scores() -> Scores:
    """Road: 6 pixels, 4 found; car: 2, both found; sky: absent, but claimed once."""
    return Scores(NAMES, np.array([[4, 1, 1], [0, 2, 0], [0, 0, 0]]))


def test_rows_are_true_classes_and_columns_predicted_ones():
    truth, guess = np.array([[0, 0, 0, 1]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8)
    assert confusion(truth, guess, num_classes=2).tolist() == [[1, 2], [1, 0]]


def test_unlabeled_pixels_do_not_count():
    truth, guess = np.array([[0, 1], [1, 255]], np.uint8), np.array([[0, 1], [0, 1]], np.uint8)
    counts = confusion(truth, guess, num_classes=2)
    assert counts.sum() == 3
    # each class: 1 pixel shared, 2 in the union
    assert Scores(("a", "b"), counts).mean_iou == pytest.approx(0.5)


def test_counts_many_classes_without_overflow():
    truth = guess = np.full((300, 300), 253, np.uint8)
    counts = confusion(truth, guess, num_classes=254)
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
