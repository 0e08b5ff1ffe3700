import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from galago.models.efficientvit import build_model
from galago.models.inference import TorchEngine, normalize
from galago.runtime.segmenter import Segmenter
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec

pytestmark = pytest.mark.torch

SPEC = ModelSpec(
    name="rooms",
    variant="b0",
    classes=("wall", "door", "floor"),
    palette=((0, 0, 0), (255, 0, 0), (0, 0, 255)),
)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("b0", 3).eval()


def test_normalization_by_hand():
    image = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    normalized = normalize(image, (0.5, 0.5, 0.1), (0.5, 0.25, 0.1))
    torch.testing.assert_close(normalized.flatten(), torch.tensor([-1.0, 2.0, 1.0]))


def test_labels_are_those_of_interpolated_logits(network: torch.nn.Module):
    image = np.random.default_rng(0).integers(0, 256, (70, 101, 3), dtype=np.uint8)
    padded = np.full((96, 128, 3), [round(255 * value) for value in IMAGENET_MEAN], np.uint8)
    padded[:70, :101] = image
    pixels = torch.from_numpy(padded).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = network(normalize(pixels, IMAGENET_MEAN, IMAGENET_STD))
    expected = F.interpolate(logits, size=(96, 128), mode="bilinear")[0, :, :70, :101].argmax(0)
    labels = Segmenter(TorchEngine(network, SPEC), SPEC)(image).labels
    # two interpolations of the same logits: a pixel on a border may fall to either side
    assert (labels == expected.numpy()).mean() > 0.999


def test_the_engine_keeps_a_copy_without_norms(network: torch.nn.Module):
    engine = TorchEngine(network, SPEC)
    image = np.zeros((1, 64, 64, 3), np.uint8)
    before = engine.run(image)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in engine.network.modules())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert (before.shape, before.dtype) == ((1, 3, 8, 8), np.float32)
