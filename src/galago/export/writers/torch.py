"""A network as a program of torch.export, for torch itself and for whatever reads such programs."""

import warnings
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.onnx import LARGEST_SIDE, TRACED_SIZE
from galago.spec import SIZE_MULTIPLE, ModelSpec


def to_torch(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write a network as a .pt2 file: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
    logits or (1, H, W) labels out.

    Args:
        network: a segmentation network; left as it is.
        spec: its input_size fixes H and W, None leaves them free, any multiples of 32.
        path: file to write.
    """
    example = torch.zeros(1, *(spec.input_size or TRACED_SIZE), 3, dtype=torch.uint8)
    bound = LARGEST_SIDE // SIZE_MULTIPLE
    free = {1: SIZE_MULTIPLE * Dim("rows", max=bound), 2: SIZE_MULTIPLE * Dim("columns", max=bound)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own calls
        deployed = DeployedNetwork(network, spec).eval()
        program = torch.export.export(
            deployed, (example,), dynamic_shapes=None if spec.input_size else (free,)
        )
        torch.export.save(program, str(path))
