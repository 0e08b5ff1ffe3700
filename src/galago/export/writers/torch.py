"""A network as a program of torch.export, for torch and for tools that read such programs."""

import warnings
from pathlib import Path

import torch

from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.onnx import TRACED_SIZE, dynamic_shapes
from galago.spec import ModelSpec


def write_torch(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write a network as a .pt2 file: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
    logits or (1, H, W) labels out.

    Args:
        deployed: the network; left as it is.
        spec: its input_size fixes H and W, None leaves them free, any multiples of 32.
        path: file to write.
    """
    example = torch.zeros(1, *(spec.input_size or TRACED_SIZE), 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own calls
        program = torch.export.export(deployed, (example,), dynamic_shapes=dynamic_shapes(spec))
        torch.export.save(program, str(path))
