import cv2
import numpy as np
import pytest

from galago.evaluation.boundary import BoundaryScores, band_width_px, boundary_counts, boundary_mask


def square(top: int, left: int) -> np.ndarray:
    """Draw a square of 6 x 6 pixels of class 1 into 30 x 40 of class 0.

    The diagonal has 50 pixels, so bands have 1.
    """
    labels = np.zeros((30, 40), np.uint8)
    labels[top : top + 6, left : left + 6] = 1
    return labels


def test_a_band_is_two_percent_of_the_diagonal_and_at_least_one_pixel():
    assert band_width_px((30, 40)) == 1
    assert band_width_px((300, 400)) == 10
    assert band_width_px((1, 1)) == 1


def test_boundary_iou_of_a_shifted_square_can_be_counted_by_hand():
    counts = boundary_counts(square(10, 10), square(10, 11), num_classes=2)
    # the rim of a 6 x 6 square has 20 pixels; shifted by 1, the upper and the lower side share 5
    # pixels each, the others none
    assert counts[:, 1].tolist() == [10, 20, 20]
    scores = BoundaryScores(("ground", "square"), counts)
    assert scores.iou[1] == pytest.approx(10 / 30)
    # area: 30 of 42 pixels
    assert scores.iou[1] < 30 / 42


def test_the_same_labels_have_a_boundary_iou_of_one():
    counts = boundary_counts(square(10, 10), square(10, 10), num_classes=3)
    scores = BoundaryScores(("ground", "square", "absent"), counts)
    assert scores.iou == (1.0, 1.0, None)
    assert scores.mean_iou == 1.0
    # the outer rim around the square, 28 pixels, and the photo's border, 2 * 30 + 2 * 38
    assert counts[1].tolist() == [28 + 136, 20, 0]


def test_pixels_are_summed_over_photos():
    near = boundary_counts(square(10, 10), square(10, 11), num_classes=2)
    same = boundary_counts(square(10, 10), square(10, 10), num_classes=2)
    assert BoundaryScores(("ground", "square"), near + same).iou[1] == pytest.approx(30 / 50)


def test_unlabeled_pixels_do_not_count_and_make_no_outline():
    target = np.zeros((30, 40), np.uint8)
    target[:, 20:] = 255
    pred = np.zeros((30, 40), np.uint8)
    pred[:, 20:] = 1  # nobody knows what is there
    counts = boundary_counts(target, pred, num_classes=2)
    # the photo's border alone: 30 on the left, 19 above and below
    assert counts.tolist() == [[68, 0]] * 3


def test_bands_are_those_of_erosion_class_by_class():
    rng = np.random.default_rng(0)
    labels = cv2.resize(
        rng.integers(0, 4, (6, 9), np.uint8), (90, 60), interpolation=cv2.INTER_NEAREST
    )
    for width_px in (1, 3, 7):
        found = boundary_mask(labels, np.ones(labels.shape, bool), width_px)
        for class_id in range(
            4
        ):  # as the authors of boundary IoU do it: mask minus eroded mask, in a frame of zeros
            mask = (labels == class_id).astype(np.uint8)
            framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
            eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width_px)[1:-1, 1:-1]
            np.testing.assert_array_equal(found & (labels == class_id), mask - eroded == 1)
