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
from galago.verification.fingerprints import INPUT, Stage

KINDS = (ConvNorm, ResidualBlock, AttentionBlock, nn.Conv2d)
BLOCKS = (r"backbone\.stages\.\d+\.\d+", r"head\.(inputs|middle)\.\d+", r"head\.(expand|classify)")


class CheckpointReference:
    """A checkpoint for `galago.verification`: the network as trained, and its stages."""

    def __init__(self, checkpoint: Path) -> None:
        """Read the checkpoint.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        self.segmenter = load_reference(checkpoint)

    def stages(self, photo: np.ndarray) -> list[Stage]:
        """Fingerprint the intermediate maps for an (H, W, 3) uint8 RGB photo."""
        assert isinstance(self.segmenter.engine, TorchEngine)
        return record_stages(self.segmenter.engine, photo)


def record_stages(engine: TorchEngine, photo: np.ndarray) -> list[Stage]:
    """Fingerprint the normalized photo and what the blocks, attentions and head parts of a network
    give, in order.

    Args:
        engine: holds the network.
        photo: (H, W, 3) uint8 RGB, H and W multiples of 32.
    """
    stages: list[Stage] = []
    handles = []
    for name, module in engine.network.named_modules():
        if is_stage(name, module):

            def keep(
                module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name
            ) -> None:
                stages.append(Stage.of(name, output[0].numpy()))

            handles.append(module.register_forward_hook(keep))
    first = engine.network.register_forward_pre_hook(
        lambda module, inputs: stages.append(Stage.of(INPUT, inputs[0][0].numpy()))
    )
    try:
        with torch.inference_mode():
            engine.run(photo[None])
    finally:
        for handle in [first, *handles]:
            handle.remove()
    return stages


def is_stage(name: str, module: nn.Module) -> bool:
    """Tell whether a module gives a stage: a block, an attention, or a part of the head, but
    nothing inside those.
    """
    if isinstance(module, BicubicUpsample):
        return module.factor > 1
    if isinstance(module, MultiScaleAttention):
        return True
    return isinstance(module, KINDS) and any(fullmatch(pattern, name) for pattern in BLOCKS)
