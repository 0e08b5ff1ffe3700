from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from galago.errors import CheckpointError
from galago.export.reference import load_reference
from galago.models.checkpoint import save_checkpoint

pytestmark = pytest.mark.torch


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
