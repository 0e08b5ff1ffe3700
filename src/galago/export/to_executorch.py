"""A network as an ExecuTorch program, model.pte, for phones: all heavy operators run in XNNPACK."""

import logging
import warnings
from pathlib import Path

import torch
from torch import nn

from galago.errors import require
from galago.export.deploy import DEFAULT_SIZE, DeployedNetwork
from galago.spec import ModelSpec


def to_executorch(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write a network for ExecuTorch: input (1, H, W, 3) uint8 RGB, output (1, K, H / 8, W / 8) float32 logits.

    What XNNPACK does not take, and ExecuTorch's portable kernels do, is the cast of the photo, the sum of the keys and the
    copies of the head's fixed weights: a hundredth of the time. The head as published, with bicubic, took 17 times OpenVINO's.

    Args:
        network: a segmentation network; left as it is.
        spec: its input_size is the one (height, width) that the file takes, `DEFAULT_SIZE` without it.
        path: file to write.
    Raises:
        MissingDependencyError: the converter is not installed.
    """
    deployed = DeployedNetwork(network, spec).eval()
    example = torch.zeros(1, *(spec.input_size or DEFAULT_SIZE), 3, dtype=torch.uint8)
    logging.getLogger("torchao").setLevel(logging.ERROR)  # it reports kernels for GPUs that it cannot load
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's own calls
        exir = require("executorch.exir", "executorch")
        backend = require("executorch.backends.xnnpack.partition.xnnpack_partitioner", "executorch")
        program = torch.export.export(deployed, (example,))
        lowered = exir.to_edge_transform_and_lower(program, partitioner=[backend.XnnpackPartitioner()])
        path.write_bytes(lowered.to_executorch().buffer)
