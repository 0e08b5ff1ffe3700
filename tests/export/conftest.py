"""A random network, its description and its checkpoint for export tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from galago.spec import ModelSpec


@pytest.fixture(scope="session")
def random_network() -> Callable[..., Any]:
    """Return a function that builds a network whose norms do something, as after training."""
    torch = pytest.importorskip("torch")
    from galago.models.efficientvit import build_model

    def build(variant: str = "b0", num_classes: int = 3) -> Any:
        torch.manual_seed(0)
        network = build_model(variant, num_classes)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.7, 1.3)
                torch.nn.init.uniform_(module.bias, -0.2, 0.2)
                torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
                torch.nn.init.uniform_(module.running_var, 0.7, 1.3)
        return network.eval()

    return build


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        name="doors",
        variant="b0",
        classes=("wall", "door", "floor"),
        palette=((0, 0, 0), (255, 0, 0), (0, 0, 255)),
    )


@pytest.fixture
def checkpoint(random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path) -> Path:
    """A checkpoint as training writes it."""
    from galago.models.checkpoint import save_checkpoint

    scores = {
        "mean_iou": 0.5,
        "pixel_accuracy": 0.75,
        "classes": [{"name": "wall", "iou": 0.5}, {"name": "door", "iou": None}],
    }
    run = {
        "config": {"epochs": 7},
        "data": "drawn doors",
        "train_photos": 4,
        "val_photos": 2,
        "weights": None,
        "commit": "abc",
    }
    metadata = {
        "variant": "b0", "num_classes": "3", "head": "b0-cityscapes",
        "spec": spec.to_json(), "scores": json.dumps(scores), "run": json.dumps(run),
    }  # fmt: skip
    save_checkpoint(tmp_path / "best.safetensors", random_network(), metadata)
    return tmp_path / "best.safetensors"


@pytest.fixture
def photo() -> Callable[[int, int], np.ndarray]:
    """Return a function that draws a photo of colored blobs."""

    def draw(height: int, width: int) -> np.ndarray:
        rows, columns = np.mgrid[:height, :width]
        waves = [np.sin(rows / 11 + shift) + np.cos(columns / 17 - shift) for shift in (0, 1, 2)]
        return np.stack([127 + 60 * wave for wave in waves], axis=-1).astype(np.uint8)

    return draw
