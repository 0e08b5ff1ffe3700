"""examples/linear-probe, as a module, on few scenes."""

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from galago.models.backbone import Backbone
from galago.models.checkpoint import load_backbone

pytestmark = pytest.mark.torch

REPOSITORY = Path(__file__).parent.parent.parent


def test_a_trained_backbone_knows_more_than_one_of_random_weights(monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location(
        "probe", REPOSITORY / "examples/linear-probe/probe.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TRAIN", range(4))
    monkeypatch.setattr(module, "TEST", range(1000, 1002))
    trained = load_backbone(REPOSITORY / "checkpoints/b0-camvid.safetensors")
    torch.manual_seed(0)
    assert module.probe(trained) > module.probe(Backbone(trained.config).eval())
