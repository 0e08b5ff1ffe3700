"""A network as an ExecuTorch program, model.pte, for phones and boards; XNNPACK runs the graph."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from galago.errors import require
from galago.export.rewrite.deploy import DEFAULT_SIZE, DeployedNetwork
from galago.export.rewrite.xnnpack import rewrite_for_xnnpack
from galago.spec import ModelSpec


def write_executorch(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write a network for ExecuTorch: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
    logits or (1, H, W) labels out.

    XNNPACK runs all of it but the cast of the image, a fifth of b0's time at 512 x 1024, and the
    argmax.

    Args:
        deployed: the network; left as it is.
        spec: its input_size is the one (height, width) that the file takes, `DEFAULT_SIZE` if it
            has none.
        path: file to write.
    Raises:
        MissingDependencyError: the converter is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's own calls
        path.write_bytes(lower(deployed, spec).to_executorch().buffer)


def lower(deployed: DeployedNetwork, spec: ModelSpec) -> Any:
    """Return the network as ExecuTorch's EdgeProgramManager, with XNNPACK's part as one call."""
    # it reports kernels for GPUs that it cannot load
    logging.getLogger("torchao").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exir = require("executorch.exir", "executorch")
        backend = require("executorch.backends.xnnpack.partition.xnnpack_partitioner", "executorch")
        example = torch.zeros(1, *(spec.input_size or DEFAULT_SIZE), 3, dtype=torch.uint8)
        program = torch.export.export(rewrite_for_xnnpack(deployed, spec), (example,))
        return exir.to_edge_transform_and_lower(program, partitioner=[backend.XnnpackPartitioner()])
