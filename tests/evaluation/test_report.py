import base64
import re

import cv2
import numpy as np
import pytest

from galago.evaluation import Evaluation, Scores
from galago.evaluation.boundary import BoundaryScores
from galago.evaluation.calibration import BINS, Calibration
from galago.evaluation.report import (
    CAPTION,
    FULL,
    GRAY,
    RIGHT,
    UNLABELED,
    WHITE,
    WRONG,
    draw_confusion,
    draw_page,
    error_map,
    largest_confusions,
)
from galago.evaluation.worst_samples import WorstSample
from galago.labels import LabelSet

LABELS = LabelSet(("road", "<car>"), ((128, 64, 128), (64, 0, 128)))


def evaluation() -> Evaluation:
    target, pred = np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    photo = WorstSample(
        "a&b", np.full((1, 3, 3), 200, np.uint8), target, pred, mean_iou=0.25, wrong=0.5
    )
    sure = np.zeros((3, BINS))
    sure[:, 9] = (4, 2.6, 2)
    return Evaluation(
        label_set=LABELS,
        scores=Scores(LABELS.names, np.array([[6, 2], [0, 0]])),
        interval=(0.5, 0.8),
        boundary=BoundaryScores(LABELS.names, np.array([[1, 0], [2, 0], [3, 0]])),
        calibration=Calibration(sure),
        worst=(photo,),
    )


def page() -> str:
    setup = {"model": "m<1>", "photos": 3, "flip": True, "scales": [1.0]}
    return draw_page(evaluation(), title="m on <data>", setup=setup)


def test_confusions_in_words_are_shares_of_the_true_class():
    counts = np.array([[69, 31, 0], [1, 999, 0], [0, 0, 0]])
    assert largest_confusions(counts, ("fence", "building", "sky")) == [
        "fence taken for building: 31 % of fence"
    ]


def test_the_largest_confusion_comes_first():
    counts = np.array([[8, 2, 0], [5, 4, 1], [0, 3, 7]])
    assert largest_confusions(counts, ("a", "b", "c")) == [
        "b taken for a: 50 % of b",
        "c taken for b: 30 % of c",
        "a taken for b: 20 % of a",
        "b taken for c: 10 % of b",
    ]


def test_errors_are_red_and_unlabeled_pixels_white():
    picture = error_map(
        np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 0]], np.uint8), num_classes=2
    )
    assert picture.tolist() == [[list(RIGHT), list(WRONG), list(UNLABELED)]]
    assert picture.dtype == np.uint8


def test_the_page_tells_figures_classes_confusions_and_photos():
    text = page()
    for words in (
        "model: m&lt;1&gt;; photos: 3",
        "0.5000 to 0.8000",
        "0.7500",
        "&lt;car&gt;",
        "road taken for &lt;car&gt;: 25 % of road",
        "a&amp;b: mean IoU 0.2500, 50.0% of the labeled pixels wrong",
        "boundary IoU",
        "up to 0.67",
        "n/a",
    ):
        assert words in text, words
    assert "<car>" not in text


def test_the_page_holds_its_pictures_and_needs_nothing_else():
    text = page()
    assert not re.search(r'(src|href)="(?!data:)', text)
    data = re.findall(
        r'alt="(?:photo|target|prediction|errors)" src="data:image/\w+;base64,([^"]+)"', text
    )
    shapes = [
        cv2.imdecode(np.frombuffer(base64.b64decode(part), np.uint8), cv2.IMREAD_COLOR).shape
        for part in data
    ]
    assert shapes == [(1, 3, 3)] * 4


def test_what_nobody_asked_for_is_left_out():
    whole = evaluation()
    bare = Evaluation(label_set=whole.label_set, scores=whole.scores, interval=whole.interval)
    text = draw_page(bare, title="m", setup={})
    assert not re.search("boundary|Calibration|Worst", text)


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
    counts = np.eye(2, dtype=np.int64)
    short = draw_confusion(counts, ("a", "b"))
    long = draw_confusion(
        counts, ("a class with a rather long name that goes on", "Bürgersteig, 道路")
    )
    # the longer name makes the margins wider, at the left and (read from below) at the top
    assert long.shape[1] > 250 + 2 * 44
    assert long.shape[0] > short.shape[0] + 200
    left, top = long[-100:-56, 12:-100], long[60:-100, -100:-56]  # of the first class
    assert (left < 128).any()
    assert (top < 128).any()


@pytest.mark.parametrize("name", ["\udce9", "\x1b[31m", "背景", "\0", "n" * 10_000])
def test_a_strange_class_name_does_not_end_the_process_or_fill_the_memory(name: str):
    picture = draw_confusion(np.diag([5, 5]), (name, "car"))  # OpenCV aborts on a lone surrogate
    assert picture.size < 10_000_000


def test_the_caption_of_a_confusion_matrix_is_whole():
    narrow = draw_confusion(np.eye(2, dtype=np.int64), ("a", "b"))
    (width, _), _ = cv2.getTextSize(CAPTION, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    inked = np.flatnonzero((narrow[:30] < 128).any(axis=(0, 2)))
    assert inked[-1] - inked[0] > 0.97 * width
