"""The published networks under the weights of the parity tests: real structure and size, no
training needed.
"""

import importlib.util
import json
from pathlib import Path

import torch

from galago.models.checkpoint import from_authors, load_tensors
from galago.models.efficientvit import EfficientViTSeg, build_model

GOLDEN = Path(__file__).parent.parent / "tests/golden"


def parity_network(name: str) -> EfficientViTSeg:
    """Return a segmentation network, as l1-cityscapes, whose every tensor is filled by
    tests/golden/filling.py.
    """
    module = importlib.util.spec_from_file_location("filling", GOLDEN / "filling.py")
    assert module is not None
    assert module.loader is not None
    filling = importlib.util.module_from_spec(module)
    module.loader.exec_module(filling)
    described = json.loads((GOLDEN / f"seg-{name}.json").read_text())
    tensors = {
        tensor: torch.from_numpy(filling.fill(tensor, tuple(shape)))
        for tensor, shape in described["tensors"]
    }
    classes = 19 if name.endswith("cityscapes") else 150
    network = build_model(name.split("-")[0], classes, head=name)
    load_tensors(network, from_authors(tensors), source=name)
    return network.eval()
