"""Exponential moving average of the weights: what is evaluated and kept."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a network that follows it slowly, buffers of the norms included.

    The first update copies the network. After t updates the decay is (1 + t) / (10 + t), at most `decay`, so that the random
    weights of the start are soon forgotten.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], steps: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(steps)) / (10 + int(steps)))
        pairs = list(zip(averages, values, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        if floats:
            torch._foreach_lerp_([average for average, _ in floats], [value for _, value in floats], weight)
        for average, value in pairs:
            if not average.is_floating_point():
                average.copy_(value)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
