"""Our networks against golden outputs of the reference networks, tensor by tensor
(tests/golden/README.md).
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.errors import CheckpointError
from galago.models.attention import set_attention
from galago.models.checkpoint import from_authors, from_timm, load_tensors
from galago.models.efficientvit import build_classifier, build_model

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*-*.json"))
TOLERANCE = 1e-5  # relative L2 error: the same float32 sums in another order


def load_filling():
    spec = importlib.util.spec_from_file_location("filling", GOLDEN / "filling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


filling = load_filling()


def reference_tensors(name):
    described = json.loads((GOLDEN / f"{name}.json").read_text())
    tensors = {
        tensor: torch.from_numpy(filling.fill(tensor, tuple(shape)))
        for tensor, shape in described["tensors"]
    }
    return tensors, described["parameters"]


def build(name, golden):
    kind, variant = name.split("-")[:2]
    if kind == "seg":
        return build_model(variant, golden["logits"].shape[1], head=name.removeprefix("seg-"))
    if kind == "cls":
        return build_classifier(variant)
    network = build_classifier(variant, head_conv_eps=1e-5)
    set_attention(network, eps=1e-5)
    return network


def relative_error(given, expected):
    return np.linalg.norm(given - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_published_network_gives_the_reference_outputs(name):
    golden = np.load(GOLDEN / f"{name}.npz")
    tensors, parameters = reference_tensors(name)
    network = build(name, golden).eval()
    load_tensors(
        network,
        from_timm(tensors) if name.startswith("timm") else from_authors(tensors),
        source=name,
    )
    with torch.inference_mode():
        features = network.backbone(torch.from_numpy(filling.image(192, 256)))
        logits = network.head(features).numpy()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert relative_error(logits, golden["logits"]) <= TOLERANCE
    for stage, feature in enumerate(features):
        if f"stage{stage}_head" in golden:
            values = feature.numpy()
            assert values.shape == tuple(golden[f"stage{stage}_shape"])
            assert relative_error(values.ravel()[:64], golden[f"stage{stage}_head"]) <= TOLERANCE
            stats = np.array([values.mean(), values.std(), values.min(), values.max()])
            np.testing.assert_allclose(stats, golden[f"stage{stage}_stats"], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def b0_tensors():
    return from_authors(reference_tensors("seg-b0-cityscapes")[0])


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda tensors: tensors.pop("head.classify.bias"), "missing head.classify.bias"),
        (lambda tensors: tensors.update(odd=torch.zeros(1)), "left over odd"),
        (
            lambda tensors: tensors.update({"head.classify.bias": torch.zeros(3)}),
            r"head.classify.bias has shape \(3,\) instead of \(19,\)",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(b0_tensors, break_it, message):
    tensors = dict(b0_tensors)
    break_it(tensors)
    with pytest.raises(CheckpointError, match=message):
        load_tensors(build_model("b0", 19), tensors, source="b0")


def test_two_tensors_never_become_one():
    tensors = {
        "backbone.stages.0.op_list.0.conv.weight": torch.zeros(1),
        "backbone.stages.0.0.conv.weight": torch.zeros(1),
    }
    with pytest.raises(CheckpointError, match="Two tensors"):
        from_authors(tensors)
