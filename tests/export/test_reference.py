from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.errors import CheckpointError
from galago.export.reference import load_reference
from galago.models.checkpoint import save_checkpoint
from galago.training.validate import make_predict

pytestmark = pytest.mark.torch


def test_a_checkpoint_labels_photos_as_training_saw_them(
    checkpoint: Path, random_network: Callable[..., Any], photo: Callable[[int, int], np.ndarray]
):
    segmenter = load_reference(checkpoint)
    predict = make_predict(
        random_network(), segmenter.spec.mean, segmenter.spec.std, torch.device("cpu")
    )
    image = photo(70, 101)
    # two interpolations of the same logits: a pixel on a border may fall to either side
    assert (segmenter(image).labels == predict(image)).mean() > 0.999


def test_the_description_is_that_of_the_training(checkpoint: Path):
    assert load_reference(checkpoint).spec.classes == ("wall", "door", "floor")


def test_a_checkpoint_without_description_is_a_clear_error(
    random_network: Callable[..., Any], tmp_path: Path
):
    metadata = {"variant": "b0", "num_classes": "3", "head": "b0-cityscapes"}
    save_checkpoint(tmp_path / "w.safetensors", random_network(), metadata)
    with pytest.raises(
        CheckpointError,
        match=r"holds no description of its classes. Use a checkpoint that `galago train` wrote",
    ):
        load_reference(tmp_path / "w.safetensors")
