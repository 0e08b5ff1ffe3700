import numpy as np
import pytest

from galago.evaluation.report import FULL, GRAY, WHITE, draw_confusion


def contains(picture: np.ndarray, color: tuple[int, ...]) -> bool:
    return bool((picture == color).all(axis=-1).any())


def test_cells_go_from_white_to_dark_blue():
    picture = draw_confusion(np.array([[5, 0], [0, 9]]), ("road", "car"))
    assert picture.dtype == np.uint8
    assert contains(picture, tuple(FULL.tolist()))
    assert contains(picture, WHITE)


def test_a_row_is_scaled_by_its_own_pixels():
    a, b = (
        draw_confusion(np.array(counts), ("road", "car"))
        for counts in ([[1, 3], [0, 9]], [[100, 300], [0, 1]])
    )
    np.testing.assert_array_equal(a, b)


def test_the_row_of_an_absent_class_stays_gray():
    present = np.diag([5] * 19 + [0])
    picture = draw_confusion(present, [str(index) for index in range(20)])
    # the last row of 20 cells: 44 pixels each, above and left of a margin of 12
    assert (picture[-12 - 44 : -12, -12 - 20 * 44 : -12] == GRAY).all()


@pytest.mark.parametrize("num_classes", [1, 2, 20, 40, 41, 150, 254])
def test_draws_any_number_of_classes(num_classes: int):
    picture = draw_confusion(
        np.eye(num_classes, dtype=np.int64), [f"class {index}" for index in range(num_classes)]
    )
    assert picture.shape[2] == 3
    assert max(picture.shape[:2]) < 4000


def test_long_names_and_names_of_other_alphabets_fit():
    draw_confusion(
        np.eye(2, dtype=np.int64),
        ("a class with a rather long name that goes on and on and on", "Bürgersteig, 道路"),
    )


@pytest.mark.parametrize("name", ["\udce9", "\x1b[31m", "背景", "\0", "n" * 10_000])
def test_a_strange_class_name_does_not_end_the_process_or_fill_the_memory(name: str):
    picture = draw_confusion(np.diag([5, 5]), (name, "car"))  # OpenCV dies of a lone surrogate
    assert picture.size < 10_000_000
