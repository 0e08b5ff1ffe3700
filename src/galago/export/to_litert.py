"""A network as a .tflite file for LiteRT."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from galago.errors import require
from galago.export.deploy import DeployedNetwork
from galago.spec import ModelSpec

DEFAULT_SIZE = (512, 1024)  # (height, width) of a file for which none is asked: LiteRT's graphs have one size


def to_litert(network: nn.Module, spec: ModelSpec, path: Path, *, size: tuple[int, int]) -> None:
    """Write a network for LiteRT: input (1, H, W, 3) uint8 RGB, output (1, K, H / 8, W / 8) float32 logits.

    Args:
        network: a segmentation network; left as it is.
        spec: mean and std.
        path: file to write.
        size: the one (height, width) that the file takes, multiples of 32.
    Raises:
        MissingDependencyError: the converter is not installed.
    """
    deployed = DeployedNetwork(network, spec).eval()
    example = torch.zeros(1, *size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), quiet():
        warnings.simplefilter("ignore")  # of the converter's own calls
        converter = require("litert_torch", "export-litert")
        converter.convert(deployed, (example,)).export(str(path))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the converter's steps off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
