"""A network as a CoreML package, model.mlpackage, for iPhones and Macs."""

import contextlib
import copy
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from galago.errors import require
from galago.export.rewrite.deploy import DEFAULT_SIZE, DeployedNetwork
from galago.export.rewrite.gelu import decompose_gelu
from galago.spec import ModelSpec


class PlanarNetwork(nn.Module):
    """A deployed network for (1, 3, H, W) float32 of 0 to 255, which CoreML makes from an image."""

    def __init__(self, deployed: DeployedNetwork) -> None:
        super().__init__()
        self.deployed = deployed

    def forward(self, planes: Tensor) -> Tensor:
        """Map (1, 3, H, W) float32 to (1, K, H / 8, W / 8) float32 logits."""
        logits: Tensor = self.deployed.network(self.deployed.normalize(planes))
        return logits


def write_coreml(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write a network as an ML program of iOS 16: input `image`, RGB of one size, output `logits`
    (1, K, H / 8, W / 8) float32.

    CoreML runs on Apple's systems only. Tests compute the package operator by operator instead, and
    compare the logits with torch's.

    Args:
        deployed: the network; left as it is.
        spec: its input_size is the one (height, width) that the file takes, `DEFAULT_SIZE` if it
            has none; float16 is the precision of weights and sums.
        path: the .mlpackage folder to write.
    Raises:
        MissingDependencyError: the converter is not installed.
    """
    _convert(deployed, spec).save(str(path))


def _convert(deployed: DeployedNetwork, spec: ModelSpec) -> Any:
    """Return the network as coremltools' MLModel, not loaded: loading needs a Mac."""
    for name in ("coremltools", "torch.export"):
        logging.getLogger(name).setLevel(logging.ERROR)  # of versions that it does not know yet
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # progress bars
        warnings.simplefilter("ignore")
        tools = require("coremltools", "export-coreml")
        shape = (1, 3, *(spec.input_size or DEFAULT_SIZE))
        network = copy.deepcopy(deployed)
        decompose_gelu(network.network)
        program = torch.export.export(PlanarNetwork(network).eval(), (torch.zeros(shape),))
        precision = tools.precision
        return tools.convert(
            program.run_decompositions({}),
            inputs=[tools.ImageType(name="image", shape=shape, color_layout=tools.colorlayout.RGB)],
            outputs=[tools.TensorType(name="logits", dtype=np.float32)],
            compute_precision=(
                precision.FLOAT16 if spec.precision == "float16" else precision.FLOAT32
            ),
            minimum_deployment_target=tools.target.iOS16,
            skip_model_load=True,
        )
