"""Fingerprints of a trained network's intermediate maps, with which `galago verify` finds the layer
where a file differs.
"""

from pathlib import Path
from re import fullmatch

import numpy as np
import torch
from torch import Tensor, nn

from galago.export.reference import load_reference
from galago.models.attention import AttentionBlock, MultiScaleAttention
from galago.models.inference import TorchEngine
from galago.models.layers import ConvNorm, ResidualBlock
from galago.models.upsample import BicubicUpsample
from galago.verification.fingerprints import INPUT, LayerFingerprint

KINDS = (ConvNorm, ResidualBlock, AttentionBlock, nn.Conv2d)
# names of the blocks of a network, which are those of a checkpoint's tensors
BLOCKS = (r"backbone\.stages\.\d+\.\d+", r"head\.(inputs|middle)\.\d+", r"head\.(expand|classify)")


class CheckpointReference:
    """A checkpoint for `galago.verification`: the network as trained, and its fingerprints."""

    def __init__(self, checkpoint: Path) -> None:
        """Read the checkpoint.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        self.segmenter = load_reference(checkpoint)

    def fingerprints(self, image: np.ndarray) -> list[LayerFingerprint]:
        """Return fingerprints of the intermediate maps for an (H, W, 3) uint8 RGB image."""
        assert isinstance(self.segmenter.engine, TorchEngine)
        return record_fingerprints(self.segmenter.engine, image)


def record_fingerprints(engine: TorchEngine, image: np.ndarray) -> list[LayerFingerprint]:
    """Return fingerprints of the normalized image and of the outputs of blocks, attentions and head
    parts of a network, in order of computation.

    Args:
        engine: holds the network.
        image: (H, W, 3) uint8 RGB, H and W multiples of 32.
    """
    layers: list[LayerFingerprint] = []
    handles = []
    for name, module in engine.network.named_modules():
        if _is_recorded(name, module):

            def record(
                module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name
            ) -> None:
                layers.append(LayerFingerprint.of(name, output[0].numpy()))

            handles.append(module.register_forward_hook(record))
    first = engine.network.register_forward_pre_hook(
        lambda module, inputs: layers.append(LayerFingerprint.of(INPUT, inputs[0][0].numpy()))
    )
    try:
        with torch.inference_mode():
            engine.run(image[None])
    finally:
        for handle in [first, *handles]:
            handle.remove()
    return layers


def _is_recorded(name: str, module: nn.Module) -> bool:
    """Return whether a module is a block, an attention or a part of the head."""
    if isinstance(module, BicubicUpsample):
        return module.factor > 1
    if isinstance(module, MultiScaleAttention):
        return True
    return isinstance(module, KINDS) and any(fullmatch(pattern, name) for pattern in BLOCKS)
