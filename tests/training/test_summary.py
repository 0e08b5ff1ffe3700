import pytest

pytest.importorskip("torch")

from galago.training.config import TrainConfig
from galago.training.early_stopping import remarks, waited_share

pytestmark = pytest.mark.torch


def test_a_run_that_went_as_planned_needs_no_words():
    assert (
        remarks(
            TrainConfig(epochs=2),
            [{"epoch": 1, "waited": 0.9}, {"epoch": 2, "waited": 0.1, "mean_iou": 0.5}],
        )
        == []
    )


def test_an_early_end_is_explained():
    rows = [{"epoch": epoch, "mean_iou": 0.5 - 0.1 * epoch} for epoch in (1, 2, 3)]
    assert remarks(TrainConfig(epochs=9, patience=2), rows) == [
        "Stopped after epoch 3 of 9: 2 validations brought no better mean IoU than epoch 1. To go "
        "on: --resume --set patience=0."
    ]


def test_patience_that_ends_in_the_last_epoch_cut_nothing_short():
    rows = [{"epoch": epoch, "mean_iou": 0.5 - 0.1 * epoch} for epoch in (1, 2, 3)]
    assert remarks(TrainConfig(epochs=3, patience=2), rows) == []


def test_a_starving_network_is_mentioned_with_what_helps():
    rows = [{"epoch": 1, "waited": 0.0}, {"epoch": 2, "waited": 0.3}, {"epoch": 3, "waited": 0.4}]
    assert remarks(TrainConfig(workers=2), rows) == [
        "The network waited for photos 35% of the time. More --workers (now 2), or --cache where "
        "photos are large, "
        "would make training faster."
    ]


def test_the_first_epoch_counts_only_where_it_is_alone():
    assert waited_share([{"waited": 0.9}, {"waited": 0.1}]) == pytest.approx(0.1)
    assert waited_share([{"waited": 0.9}]) == pytest.approx(0.9)
    assert waited_share([]) == 0
