import numpy as np
import pytest

from galago.evaluation.calibration import BINS, Calibration, calibration_counts


def test_the_error_of_a_constructed_example():
    target = np.array([[0] * 10], np.uint8)
    pred = np.array([[0] * 5 + [1] * 5], np.uint8)
    confidence = np.array([[0.9] * 8 + [0.5] * 2], np.float32)
    counts = calibration_counts(target, pred, confidence, num_classes=2)
    calibration = Calibration(counts)
    # at 0.9: 5 of 8 right, a gap of 0.275; at 0.5: 0 of 2 right, a gap of 0.5
    assert calibration.error == pytest.approx(0.8 * 0.275 + 0.2 * 0.5)
    assert calibration.mean_confidence == pytest.approx(0.82)


def test_a_network_that_is_right_as_often_as_it_says_has_no_error():
    target, pred = np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 1]], np.uint8)
    counts = calibration_counts(target, pred, np.full((1, 4), 0.75, np.float32), num_classes=2)
    assert Calibration(counts).error == pytest.approx(0)


def test_unlabeled_pixels_do_not_count():
    target, pred = np.array([[0, 255]], np.uint8), np.array([[0, 0]], np.uint8)
    counts = calibration_counts(target, pred, np.array([[1, 0.3]], np.float32), num_classes=2)
    assert counts.sum(axis=1).tolist() == [1, 1, 1]


def test_bins_hold_their_upper_end_and_all_of_zero_to_one():
    confidence = np.array([[0, 0.01, 0.2, 1]], np.float64)  # 0.2 is 3 / 15
    counts = calibration_counts(
        np.zeros((1, 4), np.uint8), np.zeros((1, 4), np.uint8), confidence, num_classes=1
    )
    assert counts[0].nonzero()[0].tolist() == [0, 2, BINS - 1]


def test_errors_of_opposite_sign_in_different_bins_do_not_cancel():
    counts = np.zeros((3, BINS))
    counts[:, 7], counts[:, 14] = (10, 5, 7), (10, 10, 8)
    assert Calibration(counts).error == pytest.approx((2 + 2) / 20)
    assert [share["pixels"] for share in Calibration(counts).summary()["bins"]] == [10, 10]
