from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.training.config import TrainConfig
from galago.training.early_stopping import best_epoch, is_out_of_patience
from galago.training.run_dir import Progress
from galago.training.state import find_state
from galago.training.train import train

pytestmark = pytest.mark.torch

# A rate of almost zero: only the statistics of the norms move, so that the scores soon stay where
# they are.
STILL = TrainConfig(
    epochs=9, batch_size=2, crop_size=(64, 64), workers=0, precision="float32", validate_every=1, peak_learning_rate=1e-30,
    ema_decay=0.0, patience=2, save_every=5,
)  # fmt: skip


def rows(*scores: float | None) -> list[dict[str, float]]:
    return [
        {"epoch": epoch} | ({} if score is None else {"mean_iou": score})
        for epoch, score in enumerate(scores, 1)
    ]


def test_patience_counts_validations_after_the_best_one():
    assert not is_out_of_patience(TrainConfig(patience=2), rows(None, 0.3, None, 0.5, None, 0.4))
    assert is_out_of_patience(
        TrainConfig(patience=2), rows(None, 0.3, None, 0.5, None, 0.4, None, 0.45)
    )
    assert not is_out_of_patience(TrainConfig(patience=2), rows(0.5, 0.4, 0.6, 0.5))


def test_a_mean_iou_that_is_only_as_good_is_no_improvement():
    assert is_out_of_patience(TrainConfig(patience=2), rows(0.5, 0.5, 0.5))
    assert best_epoch(rows(0.5, 0.5, 0.5)) == 1


def test_without_patience_or_validations_nothing_ends():
    assert not is_out_of_patience(TrainConfig(patience=0), rows(0.5, 0.4, 0.3, 0.2))
    assert not is_out_of_patience(TrainConfig(patience=1), rows(None, None))
    assert best_epoch(rows(None, None)) is None


@pytest.fixture(scope="module")
def ended(
    on_disk: Callable[[str], Dataset], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Progress]:
    out = tmp_path_factory.mktemp("runs") / "still"
    return out, train(STILL, on_disk("train"), on_disk("val"), out)


def test_a_run_that_does_not_get_better_ends_early_and_saves_its_state(
    ended: tuple[Path, Progress],
):
    out, progress = ended
    best = best_epoch(progress.rows)
    assert best is not None
    assert progress.epoch == best + 2 < 9
    assert find_state(out) == out / "state"


def test_a_run_that_ended_early_stays_ended_when_resumed(
    on_disk: Callable[[str], Dataset], ended: tuple[Path, Progress]
):
    out, progress = ended
    assert train(STILL, on_disk("train"), on_disk("val"), out, start=(None, True)) == progress


def test_a_run_that_ended_early_goes_on_with_more_patience(
    on_disk: Callable[[str], Dataset], ended: tuple[Path, Progress]
):
    out, _ = ended
    assert (
        train(
            replace(STILL, patience=0), on_disk("train"), on_disk("val"), out, start=(None, True)
        ).epoch
        == 9
    )
