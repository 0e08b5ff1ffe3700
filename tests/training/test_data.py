from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset, open_dataset
from galago.errors import DataError, TrainingError
from galago.training.config import TrainConfig
from galago.training.data import BatchSampler, batches, make_loader

pytestmark = pytest.mark.torch


def order(shuffle: BatchSampler, epoch: int) -> list[int]:
    return [index for batch in shuffle for of_epoch, index in batch if of_epoch == epoch]


def test_batches_are_the_same_for_any_number_of_workers(on_disk: Callable[[str], Dataset]):
    found = []
    for workers in (0, 1):
        loader, shuffle = make_loader(
            on_disk("train"),
            TrainConfig(crop_size=(64, 64), epochs=4, batch_size=2, workers=workers),
        )
        shuffle.epoch = 3
        found.append(list(loader))
    for (images, labels), (expected_images, expected_labels) in zip(*found, strict=True):
        assert torch.equal(images, expected_images)
        assert torch.equal(labels, expected_labels)


def test_a_batch_holds_uint8_images_and_labels(drawn: Callable[..., Dataset]):
    loader, _ = make_loader(drawn(4), TrainConfig(crop_size=(64, 96), batch_size=2, workers=0))
    images, labels = next(iter(loader))
    assert images.shape == (2, 3, 64, 96)
    assert labels.shape == (2, 64, 96)
    assert images.dtype == labels.dtype == torch.uint8


def test_views_change_with_the_epoch_and_the_seed(drawn: Callable[..., Dataset]):
    data = drawn(2)
    first, other_epoch, other_seed = (
        make_loader(data, TrainConfig(crop_size=(64, 64), batch_size=2, workers=0, seed=seed))[
            0
        ].dataset[(epoch, 0)][0]
        for epoch, seed in ((0, 0), (1, 0), (0, 1))
    )
    assert not torch.equal(first, other_epoch)
    assert not torch.equal(first, other_seed)


def test_every_epoch_has_a_new_order_of_all_photos():
    shuffle = BatchSampler(8, 2, seed=0, epochs=2)
    first, second = order(shuffle, 0), order(shuffle, 1)
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    assert order(shuffle, 0) == first


def test_a_stream_that_begins_later_goes_on_as_the_whole_one():
    whole, rest = BatchSampler(5, 2, seed=0, epochs=3), BatchSampler(5, 2, seed=0, epochs=3)
    rest.epoch = 1
    assert list(rest) == list(whole)[whole.steps :]


def test_the_last_incomplete_batch_is_left_out():
    shuffle = BatchSampler(5, 2, seed=0, epochs=3)
    assert shuffle.steps == 2
    assert len(shuffle) == len(list(shuffle)) == 6


def test_too_few_photos_are_an_error_that_names_the_fix():
    with pytest.raises(
        TrainingError, match=r"has 3 photos, fewer than one batch of 4. Use --batch 3 or less"
    ):
        BatchSampler(3, 4, seed=0, epochs=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_mask_is_one_line_wherever_it_was_read(tmp_path: Path, workers: int):
    for kind in ("images", "masks"):
        (tmp_path / kind / "train").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / kind / "train/a.png"), np.full((32, 32), 7, np.uint8))
    (tmp_path / "data.yaml").write_text("names: [wall, door]")
    config = TrainConfig(crop_size=(64, 64), batch_size=1, workers=workers)
    loader, _ = make_loader(open_dataset(tmp_path, "train"), config)
    with pytest.raises(DataError) as caught:
        list(batches(loader))
    assert str(caught.value).startswith(
        f"{tmp_path}/masks/train/a.png holds ids that mean nothing here: 7 (1024 pixels)."
    )
    assert "\n" not in str(caught.value)
