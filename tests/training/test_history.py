from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.training.config import TrainConfig
from galago.training.history import (
    History,
    best_epoch,
    data_wait_share,
    is_out_of_patience,
    remarks,
)
from galago.training.resume import find_state
from galago.training.train import train

pytestmark = pytest.mark.torch

# A rate of almost zero: only the statistics of the norms move, so that the scores soon stay where
# they are.
STILL = TrainConfig(
    epochs=9,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    validate_every=1,
    peak_learning_rate=1e-30,
    ema_decay=0.0,
    patience=2,
    save_every=5,
)


def rows(*scores: float | None) -> list[dict[str, float]]:
    return [
        {"epoch": epoch} | ({} if score is None else {"mean_iou": score})
        for epoch, score in enumerate(scores, 1)
    ]


def test_patience_counts_validations_after_the_best_one():
    assert not is_out_of_patience(2, rows(None, 0.3, None, 0.5, None, 0.4))
    assert is_out_of_patience(2, rows(None, 0.3, None, 0.5, None, 0.4, None, 0.45))
    assert not is_out_of_patience(2, rows(0.5, 0.4, 0.6, 0.5))


def test_a_mean_iou_that_is_only_as_good_is_no_improvement():
    assert is_out_of_patience(2, rows(0.5, 0.5, 0.5))
    assert best_epoch(rows(0.5, 0.5, 0.5)) == 1


def test_without_patience_or_validations_nothing_ends():
    assert not is_out_of_patience(0, rows(0.5, 0.4, 0.3, 0.2))
    assert not is_out_of_patience(1, rows(None, None))
    assert best_epoch(rows(None, None)) is None


@pytest.fixture(scope="module")
def ended(
    on_disk: Callable[[str], Dataset], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, History]:
    out = tmp_path_factory.mktemp("runs") / "still"
    return out, train(STILL, on_disk("train"), on_disk("val"), out)


def test_a_run_that_does_not_get_better_ends_early_and_saves_its_state(
    ended: tuple[Path, History],
):
    out, history = ended
    best = best_epoch(history.rows)
    assert best is not None
    assert history.epoch == best + 2 < 9
    assert find_state(out) == out / "state"


def test_a_run_that_ended_early_stays_ended_when_resumed(
    on_disk: Callable[[str], Dataset], ended: tuple[Path, History]
):
    out, history = ended
    assert train(STILL, on_disk("train"), on_disk("val"), out, resume=True) == history


def test_a_run_that_ended_early_goes_on_with_more_patience(
    on_disk: Callable[[str], Dataset], ended: tuple[Path, History]
):
    out, _ = ended
    assert (
        train(replace(STILL, patience=0), on_disk("train"), on_disk("val"), out, resume=True).epoch
        == 9
    )


def test_a_run_that_went_as_planned_needs_no_words():
    assert (
        remarks(
            TrainConfig(epochs=2),
            [{"epoch": 1, "data_wait": 0.9}, {"epoch": 2, "data_wait": 0.1, "mean_iou": 0.5}],
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
    rows = [
        {"epoch": 1, "data_wait": 0.0},
        {"epoch": 2, "data_wait": 0.3},
        {"epoch": 3, "data_wait": 0.4},
    ]
    assert remarks(TrainConfig(workers=2), rows) == [
        "The network waited for photos 35% of the time. More --workers (now 2), or --cache where "
        "photos are large, "
        "would make training faster."
    ]


def test_the_first_epoch_counts_only_where_it_is_alone():
    assert data_wait_share([{"data_wait": 0.9}, {"data_wait": 0.1}]) == pytest.approx(0.1)
    assert data_wait_share([{"data_wait": 0.9}]) == pytest.approx(0.9)
    assert data_wait_share([]) == 0
