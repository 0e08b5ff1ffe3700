import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.data.pairs import ImageMaskDataset
from galago.errors import ImageError, TrainingError
from galago.training.config import TrainConfig
from galago.training.data import batches, make_loader
from galago.training.train import train
from galago.training.workers import explain_lost_workers

pytestmark = pytest.mark.torch

SETTINGS = TrainConfig(
    epochs=4, batch_size=2, crop_size=(64, 64), workers=1, precision="float32", validate_every=4
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_worker_is_one_line_and_the_run_goes_on_with_fewer(
    on_disk: Callable[[str], Dataset], tmp_path: Path
):
    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == 2 and row.get("step") == 1:
            (worker,) = (child for child in multiprocessing.active_children() if child.is_alive())
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()

    # more epochs than the worker can have read ahead
    config = replace(SETTINGS, epochs=20, validate_every=20)
    with pytest.raises(TrainingError) as caught:
        train(config, on_disk("train"), on_disk("val"), tmp_path, report=kill)
    message = str(caught.value)
    assert message.startswith("A process that reads photos is gone (DataLoader worker (pid")
    assert (
        "most often because memory ran out. Go on from the last saved epoch with --resume and "
        "fewer --workers" in message
    )
    assert "\n" not in message
    assert (
        train(
            replace(config, workers=0),
            on_disk("train"),
            on_disk("val"),
            tmp_path,
            start=(None, True),
        ).epoch
        == 20
    )


def test_a_bus_error_points_at_shared_memory():
    words = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of ..."
    with (
        pytest.raises(TrainingError, match=r"In a container, give it more shared memory"),
        explain_lost_workers(),
    ):
        raise RuntimeError(words)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes differ"), explain_lost_workers():
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_vanished_is_one_line_with_its_name(
    on_disk: Callable[[str], ImageMaskDataset], tmp_path: Path, workers: int
):
    data = on_disk("train")
    gone = replace(
        data.pairs[2], photo=tmp_path / "gone.png"
    )  # as if it had been there when the data set was opened
    data = replace(data, pairs=(*data.pairs[:2], gone, data.pairs[3]))
    loader, _ = make_loader(data, replace(SETTINGS, workers=workers, epochs=1))
    with pytest.raises(ImageError) as caught:
        list(batches(loader))
    assert str(caught.value) == f"Cannot read {tmp_path}/gone.png: No such file or directory."
