import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from galago.data import Dataset
from galago.errors import MissingDependencyError
from galago.training.config import TrainConfig
from galago.training.train import train

pytestmark = pytest.mark.torch

SETTINGS = TrainConfig(
    epochs=4,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    validate_every=2,
    tensorboard=True,
    save_every=2,
)


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


@pytest.fixture(scope="module")
def finished(
    on_disk: Callable[[str], Dataset], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, float]]]:
    out = tmp_path_factory.mktemp("runs") / "curves"
    return out, train(SETTINGS, on_disk("train"), on_disk("val"), out).rows


def test_curves_hold_what_metrics_csv_holds(finished: tuple[Path, list[dict[str, float]]]):
    out, rows = finished
    assert points(out / "tensorboard", "loss") == [
        (row["epoch"], pytest.approx(row["loss"])) for row in rows
    ]
    scored = [(row["epoch"], pytest.approx(row["mean_iou"])) for row in rows if "mean_iou" in row]
    assert points(out / "tensorboard", "mean_iou") == scored
    assert len(scored) == 2


def test_each_class_has_its_curve_and_pictures_are_there(
    finished: tuple[Path, list[dict[str, float]]],
):
    tags = read(finished[0] / "tensorboard").Tags()
    names = (
        "loss",
        "lr",
        "images_per_s",
        "data_wait",
        "mean_iou",
        "pixel_accuracy",
        "iou/wall",
        "iou/door",
    )
    assert set(tags["scalars"]) == set(names)
    assert tags["images"] == ["panel"]


def test_curves_of_a_resumed_run_have_each_epoch_once(
    on_disk: Callable[[str], Dataset], finished: tuple[Path, list[dict[str, float]]], tmp_path: Path
):
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 4:  # epoch 3 is on the board, but the saved state is that of epoch 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SETTINGS, on_disk("train"), on_disk("val"), tmp_path, on_progress=stop)
    train(SETTINGS, on_disk("train"), on_disk("val"), tmp_path, resume=True)
    assert points(tmp_path / "tensorboard", "loss") == points(finished[0] / "tensorboard", "loss")


def test_a_run_that_goes_on_with_a_board_gets_the_curves_of_the_whole_run(
    on_disk: Callable[[str], Dataset], tmp_path: Path
):
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            replace(SETTINGS, tensorboard=False),
            on_disk("train"),
            on_disk("val"),
            tmp_path,
            on_progress=stop,
        )
    assert not (tmp_path / "tensorboard").exists()
    train(SETTINGS, on_disk("train"), on_disk("val"), tmp_path, resume=True)
    assert [step for step, _ in points(tmp_path / "tensorboard", "loss")] == [1, 2, 3, 4]


def test_without_tensorboard_the_first_step_is_not_taken(
    drawn: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    rows: list[dict[str, float]] = []
    with pytest.raises(MissingDependencyError, match=r"pip install 'galago\[tensorboard\]'"):
        train(SETTINGS, drawn(4), drawn(1), tmp_path, on_progress=rows.append)
    assert not rows
