import base64
import re

import cv2
import numpy as np

from galago.evaluation import Evaluation, Scores
from galago.evaluation.boundary import BoundaryScores
from galago.evaluation.calibration import BINS, Calibration
from galago.evaluation.report import (
    CAPTION,
    RIGHT,
    UNLABELED,
    WRONG,
    draw_confusion,
    draw_page,
    error_map,
    largest_confusions,
)
from galago.evaluation.worst import WorstSample
from galago.labels import LabelSet

LABELS = LabelSet(("road", "<car>"), ((128, 64, 128), (64, 0, 128)))


def evaluation() -> Evaluation:
    truth, guess = np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    photo = WorstSample(
        "a&b", np.full((1, 3, 3), 200, np.uint8), truth, guess, mean_iou=0.25, wrong=0.5
    )
    sure = np.zeros((3, BINS))
    sure[:, 9] = (4, 2.6, 2)
    return Evaluation(
        labels=LABELS,
        scores=Scores(LABELS.names, np.array([[6, 2], [0, 0]])),
        interval=(0.5, 0.8),
        boundary=BoundaryScores(LABELS.names, np.array([[1, 0], [2, 0], [3, 0]])),
        calibration=Calibration(sure),
        worst=(photo,),
    )


def page() -> str:
    setup = {"model": "m<1>", "photos": 3, "flip": True, "scales": [1.0]}
    return draw_page(evaluation(), title="m on <data>", setup=setup, confusion_png=b"png")


def test_confusions_in_words_are_shares_of_the_true_class():
    counts = np.array([[69, 31, 0], [1, 999, 0], [0, 0, 0]])
    assert largest_confusions(counts, ("fence", "building", "sky")) == [
        "fence taken for building: 31 % of fence"
    ]


def test_the_largest_confusion_comes_first():
    counts = np.array([[8, 2, 0], [5, 4, 1], [0, 3, 7]])
    assert largest_confusions(counts, ("a", "b", "c")) == [
        "b taken for a: 50 % of b", "c taken for b: 30 % of c", "a taken for b: 20 % of a", "b taken for c: 10 % of b",
    ]  # fmt: skip


def test_errors_are_red_and_unlabeled_pixels_white():
    picture = error_map(
        np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 0]], np.uint8), num_classes=2
    )
    assert picture.tolist() == [[list(RIGHT), list(WRONG), list(UNLABELED)]]
    assert picture.dtype == np.uint8


def test_the_page_tells_figures_classes_confusions_and_photos():
    text = page()
    for words in (
        "model: m&lt;1&gt;; photos: 3", "0.5000 to 0.8000", "0.7500", "&lt;car&gt;", "road taken for &lt;car&gt;: 25 % of road",
        "a&amp;b: mean IoU 0.2500, 50.0% of the labeled pixels wrong", "boundary IoU", "up to 0.67", "n/a",
    ):  # fmt: skip
        assert words in text, words
    assert "<car>" not in text


def test_the_page_holds_its_pictures_and_needs_nothing_else():
    text = page()
    assert not re.search(r'(src|href)="(?!data:)', text)
    data = re.findall(
        r'alt="(?:photo|truth|prediction|errors)" src="data:image/\w+;base64,([^"]+)"', text
    )
    shapes = [
        cv2.imdecode(np.frombuffer(base64.b64decode(part), np.uint8), cv2.IMREAD_COLOR).shape
        for part in data
    ]
    assert shapes == [(1, 3, 3)] * 4


def test_what_nobody_asked_for_is_left_out():
    whole = evaluation()
    bare = Evaluation(labels=whole.labels, scores=whole.scores, interval=whole.interval)
    text = draw_page(bare, title="m", setup={}, confusion_png=b"")
    assert not re.search("boundary|Calibration|Worst", text)


def test_the_caption_of_a_confusion_matrix_is_whole():
    narrow = draw_confusion(np.eye(2, dtype=np.int64), ("a", "b"))
    (width, _), _ = cv2.getTextSize(CAPTION, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    inked = np.flatnonzero((narrow[:30] < 128).any(axis=(0, 2)))
    assert inked[-1] - inked[0] > 0.97 * width
