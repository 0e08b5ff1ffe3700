import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader

from galago.data import Dataset, open_dataset
from galago.data.image_mask_dataset import ImageMaskDataset
from galago.errors import DataError, ImageError, TrainingError
from galago.training.config import TrainConfig
from galago.training.data import (
    AugmentedSamples,
    BatchSampler,
    explain_dead_workers,
    iterate,
    make_loader,
)
from galago.training.train import train

pytestmark = pytest.mark.torch


def load(dataset: Dataset, config: TrainConfig) -> tuple[DataLoader[Any], BatchSampler]:
    """Return the loader of a training split, and its sampler."""
    sampler = BatchSampler(len(dataset), config.batch_size, seed=config.seed, epochs=config.epochs)
    return make_loader(AugmentedSamples(dataset, config), sampler, config), sampler


def order(sampler: BatchSampler, epoch: int) -> list[int]:
    return [index for batch in sampler for of_epoch, index in batch if of_epoch == epoch]


def test_batches_are_the_same_for_any_number_of_workers(on_disk: Callable[[str], Dataset]):
    found = []
    for workers in (0, 1):
        config = TrainConfig(crop_size=(64, 64), epochs=4, batch_size=2, workers=workers)
        loader, sampler = load(on_disk("train"), config)
        sampler.epoch = 3
        found.append(list(loader))
    for (images, labels), (expected_images, expected_labels) in zip(*found, strict=True):
        assert torch.equal(images, expected_images)
        assert torch.equal(labels, expected_labels)


def test_a_batch_holds_uint8_images_and_labels(drawn: Callable[..., Dataset]):
    loader, _ = load(drawn(4), TrainConfig(crop_size=(64, 96), batch_size=2, workers=0))
    images, labels = next(iter(loader))
    assert images.shape == (2, 3, 64, 96)
    assert labels.shape == (2, 64, 96)
    assert images.dtype == labels.dtype == torch.uint8


def test_views_change_with_the_epoch_and_the_seed(drawn: Callable[..., Dataset]):
    data = drawn(2)
    first, other_epoch, other_seed = (
        AugmentedSamples(data, TrainConfig(crop_size=(64, 64), seed=seed))[(epoch, 0)][0]
        for epoch, seed in ((0, 0), (1, 0), (0, 1))
    )
    assert not torch.equal(first, other_epoch)
    assert not torch.equal(first, other_seed)


def test_every_epoch_has_a_new_order_of_all_photos():
    sampler = BatchSampler(8, 2, seed=0, epochs=2)
    first, second = order(sampler, 0), order(sampler, 1)
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    assert order(sampler, 0) == first


def test_a_stream_that_begins_later_goes_on_as_the_whole_one():
    whole, rest = BatchSampler(5, 2, seed=0, epochs=3), BatchSampler(5, 2, seed=0, epochs=3)
    rest.epoch = 1
    assert list(rest) == list(whole)[whole.steps :]


def test_the_last_incomplete_batch_is_left_out():
    sampler = BatchSampler(5, 2, seed=0, epochs=3)
    assert sampler.steps == 2
    assert len(sampler) == len(list(sampler)) == 6


def test_too_few_photos_are_an_error_that_names_the_fix():
    with pytest.raises(
        TrainingError, match=r"has 3 images, fewer than one batch of 4. Use --batch 3 or less"
    ):
        BatchSampler(3, 4, seed=0, epochs=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_mask_is_one_line_wherever_it_was_read(tmp_path: Path, workers: int):
    for kind in ("images", "masks"):
        (tmp_path / kind / "train").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / kind / "train/a.png"), np.full((32, 32), 7, np.uint8))
    (tmp_path / "data.yaml").write_text("names: [wall, door]")
    config = TrainConfig(crop_size=(64, 64), batch_size=1, workers=workers)
    loader, _ = load(open_dataset(tmp_path, "train"), config)
    with pytest.raises(DataError) as caught:
        list(iterate(loader))
    assert str(caught.value).startswith(
        f"{tmp_path}/masks/train/a.png holds ids that mean nothing here: 7 (1024 pixels)."
    )
    assert "\n" not in str(caught.value)


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
        train(config, on_disk("train"), on_disk("val"), tmp_path, on_progress=kill)
    message = str(caught.value)
    assert message.startswith("A data-loader worker was killed (DataLoader worker (pid")
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
            resume=True,
        ).epoch
        == 20
    )


def test_a_bus_error_points_at_shared_memory():
    words = (
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that "
        "dataloader's workers are out of ..."
    )
    with (
        pytest.raises(TrainingError, match=r"In a container, give it more shared memory"),
        explain_dead_workers(),
    ):
        raise RuntimeError(words)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes differ"), explain_dead_workers():
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_vanished_is_one_line_with_its_name(
    on_disk: Callable[[str], ImageMaskDataset], tmp_path: Path, workers: int
):
    data = on_disk("train")
    gone = replace(
        data.pairs[2], image=tmp_path / "gone.png"
    )  # as if it had been there when the data set was opened
    data = replace(data, pairs=(*data.pairs[:2], gone, data.pairs[3]))
    loader, _ = load(data, replace(SETTINGS, workers=workers, epochs=1))
    with pytest.raises(ImageError) as caught:
        list(iterate(loader))
    assert str(caught.value) == f"Cannot read {tmp_path}/gone.png: No such file or directory."
