from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galago.data import Sample
from galago.evaluation import Prediction, Scores, confusion, evaluate, evaluate_full
from galago.evaluation.label_counts import by_label, label_counts, settle
from galago.evaluation.report import draw_page
from galago.labels import ClassSet, LabelSet, distinct_palette

# 0 sky, 1 tree, 2 building, 3 pole; 4 = far (tree or building), 5 = building that may hide a pole
LABELS = LabelSet(
    ("sky", "tree", "building", "pole"),
    distinct_palette(4),
    (ClassSet("far", (1, 2)), ClassSet("facade", (2,), (3,))),
)
PLAIN = LabelSet(LABELS.names, LABELS.palette)
ROW = arrays(np.uint8, (3, 5), elements=st.sampled_from([0, 1, 2, 3, 4, 5, 255]))
GUESS = arrays(np.uint8, (3, 5), elements=st.integers(0, 3))


def score(target: list[int], pred: list[int], label_set: LabelSet = LABELS) -> Scores:
    return Scores.of(
        label_set, label_counts(np.array([target], np.uint8), np.array([pred], np.uint8), label_set)
    )


def test_a_prediction_inside_a_set_is_right():
    scores = score([4, 4, 4, 0], [1, 2, 2, 0])
    assert scores.set_iou == (1.0,)
    assert scores.set_accuracy == (1.0,)
    assert scores.iou == (1.0, None, None, None)
    assert scores.mean_iou == scores.pixel_accuracy == 1.0
    assert scores.set_share == (0.75,)


def test_a_prediction_outside_is_missed_by_the_set_and_claimed_by_the_class():
    scores = score([4, 4, 0, 0], [1, 0, 0, 2])
    # far: 1 found, 2 true, and one sky pixel was called building: 1 / (2 + 1); sky: 1 found, 2
    # true, one of far claimed
    assert scores.set_iou == (pytest.approx(1 / 3),)
    assert scores.iou[0] == pytest.approx(1 / 3)
    assert scores.pixel_accuracy == 0.5


def test_a_class_that_masks_cannot_show_is_excused():
    scores = score([5, 5, 5, 0], [2, 3, 0, 0])
    assert scores.excused == 1
    assert scores.iou == (pytest.approx(1 / 2), None, pytest.approx(1 / 2), None)
    assert scores.pixel_accuracy == pytest.approx(2 / 3)
    assert scores.summary()["excused"] == 1


def test_the_summary_names_sets_only_where_there_are_any():
    assert score([4], [1]).summary()["sets"] == [
        {"name": "far", "classes": ["tree", "building"], "iou": 1.0, "accuracy": 1.0, "share": 1.0}
    ]
    assert "sets" not in score([0], [0], PLAIN).summary()


@given(ROW, GUESS)
def test_without_sets_scores_are_those_of_the_confusion_matrix(
    target: np.ndarray, pred: np.ndarray
):
    target = np.where(target > 3, 255, target).astype(np.uint8)
    counts = label_counts(target, pred, PLAIN)
    assert counts.tolist() == confusion(target, pred, 4).tolist()
    if counts.any():
        assert Scores.of(PLAIN, counts).summary() == Scores(PLAIN.names, counts).summary()


@given(ROW, GUESS)
def test_every_pixel_is_ignored_excused_or_counted_once(target: np.ndarray, pred: np.ndarray):
    rows, _, excused = by_label(LABELS, label_counts(target, pred, LABELS))
    assert rows.sum() + excused == (target != 255).sum()


@given(ROW, GUESS)
def test_settled_labels_are_right_where_the_label_allows_it(target: np.ndarray, pred: np.ndarray):
    counts = label_counts(target, pred, LABELS)
    settled = settle(target, pred, LABELS)
    known = settled != 255
    assert known.sum() == (target != 255).sum() - by_label(LABELS, counts)[2]
    if known.any():
        right = (settled == pred)[known].sum()
        assert right / known.sum() == pytest.approx(Scores.of(LABELS, counts).pixel_accuracy)


@settings(max_examples=30)
@given(ROW, GUESS, st.permutations(range(4)))
def test_the_order_of_classes_does_not_matter(
    target: np.ndarray, pred: np.ndarray, order: list[int]
):
    counts = label_counts(target, pred, LABELS)
    if not by_label(LABELS, counts)[0].any():
        return
    new = np.array([*order, 4, 5, *range(6, 256)], np.uint8)
    sets = tuple(
        ClassSet(
            found.name,
            tuple(sorted(order[i] for i in found.classes)),
            tuple(sorted(order[i] for i in found.hidden)),
        )
        for found in LABELS.sets
    )
    moved = LabelSet(LABELS.names, LABELS.palette, sets)
    one, two = (
        Scores.of(LABELS, counts),
        Scores.of(moved, label_counts(new[target], new[pred], moved)),
    )
    assert two.set_iou == one.set_iou
    assert [two.iou[order[index]] for index in range(4)] == list(one.iou)
    assert two.mean_iou == pytest.approx(one.mean_iou)


@dataclass(frozen=True)
class OneImage:
    """A data set of one image."""

    target: np.ndarray
    label_set: LabelSet = LABELS
    names: tuple[str, ...] = ("image",)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return Sample("image", np.zeros((*self.target.shape, 3), np.uint8), self.target)


def test_a_whole_evaluation_knows_sets():
    target = np.array([[4, 4, 5, 0], [4, 5, 5, 255]], np.uint8)
    pred = np.array([[1, 0, 2, 0], [2, 3, 1, 0]], np.uint8)
    data = OneImage(target)
    scores = evaluate(lambda _: pred, data)
    found = evaluate_full(
        lambda _: Prediction(pred, np.ones(pred.shape, np.float32)),
        data,
        boundary=True,
        calibration=True,
    )
    assert found.scores.summary() == scores.summary()
    assert found.interval == (pytest.approx(scores.mean_iou), pytest.approx(scores.mean_iou))
    assert found.worst[0].mean_iou == pytest.approx(scores.mean_iou)
    assert found.calibration is not None
    assert found.calibration.counts[0].sum() == 6  # all but one ignored and one excused
    page = draw_page(found, title="t", setup={})
    assert "tree or building" in page
    assert "pixels not counted: a class was predicted that the masks cannot show there" in page
