import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.errors import TrainingError
from galago.training.config import TrainConfig
from galago.training.data import AugmentedSamples
from galago.training.train import train

pytestmark = pytest.mark.torch

WILD = TrainConfig(  # the first step ends far outside of float32
    epochs=2,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    peak_learning_rate=1e30,
    max_grad_norm=1e30,
)


def fail(config: TrainConfig, data: Dataset, val: Dataset, out: Path) -> str:
    with pytest.raises(TrainingError) as caught:
        train(config, data, val, out)
    return str(caught.value)


def test_the_batch_of_a_loss_that_is_not_finite_is_kept(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    data = drawn(4)
    message = fail(WILD, data, drawn(1), tmp_path)
    with np.load(tmp_path / "bad_batch.npz") as kept:  # no pickles
        batch = dict(kept)
    assert (batch["epoch"], batch["step"]) == (1, 2)
    assert (
        f"epoch 1, step 2. The batch is saved as {tmp_path}/bad_batch.npz: images, labels, names. "
        in message
    )
    samples = AugmentedSamples(data, WILD)
    for image, labels, key, name in zip(
        batch["images"], batch["labels"], batch["keys"], batch["names"], strict=True
    ):
        expected_image, expected_labels = samples[tuple(key)]
        np.testing.assert_array_equal(image, expected_image)
        np.testing.assert_array_equal(labels, expected_labels)
        assert name == data.names[key[1]]


def test_weights_that_grew_without_bound_are_told_from_a_bad_batch(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    message = fail(WILD, drawn(4), drawn(1), tmp_path)
    assert re.search(
        r"The weights had diverged before it .the largest is [\d.]+e\+(29|30)., "
        r"so the data is probably fine\. Start",
        message,
    )


def test_sound_weights_leave_the_batch_under_suspicion(
    drawn: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "galago.training.train.total_loss", lambda outputs, *_: outputs[0].mean() * float("nan")
    )
    message = fail(WILD, drawn(4), drawn(1), tmp_path)
    assert message.startswith("The loss became nan in epoch 1, step 1. ")
    assert re.search(
        r"The weights look sound .the largest is [\d.]+., so check the batch\. ", message
    )


def test_names_tell_which_samples_are_extra_data(drawn: Callable[..., Dataset]):
    samples = AugmentedSamples(drawn(4), replace(WILD, extra_data_ratio=1.0), drawn(3, first=10))
    names = {samples.describe((0, index)) for index in range(4)}
    assert names <= {"photo10", "photo11", "photo12"}


def test_a_batch_that_cannot_be_saved_does_not_hide_the_loss(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    (tmp_path / "bad_batch.npz").mkdir()
    assert ". The batch could not be saved as " in fail(WILD, drawn(4), drawn(1), tmp_path)
