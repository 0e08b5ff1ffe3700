"""MixStyle: photos of a batch exchange the look of their first features, so that the network trusts
shapes more than light.
"""

import torch
from torch import Tensor

STAGES = 2  # after how many stages of the backbone
ALPHA = 0.1  # of the Beta distribution


def mix_styles(x: Tensor) -> Tensor:
    """Blend mean and deviation of each channel of a sample with those of another.

    Zhou et al., arXiv:2104.02008, equation 5.

    Args:
        x: (N, C, H, W) features.
    """
    axes = (2, 3)
    mean, deviation = (
        x.mean(axes, keepdim=True).detach(),
        (x.var(axes, keepdim=True) + 1e-6).sqrt().detach(),
    )
    share = torch.distributions.Beta(ALPHA, ALPHA).sample((len(x), 1, 1, 1)).to(x)
    order = torch.randperm(len(x), device=x.device)
    new_mean, new_deviation = (
        share * part + (1 - share) * part[order] for part in (mean, deviation)
    )
    return (x - mean) / deviation * new_deviation + new_mean
