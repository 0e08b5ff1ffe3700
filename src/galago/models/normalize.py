"""Normalization of images for the network, in torch."""

from collections.abc import Sequence

import torch
from torch import Tensor


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return images as the network takes them: (x / 255 - mean) / std.

    Args:
        images: (N, 3, H, W) RGB of 0 to 255, uint8 or float32.
        mean, std: of each channel on a scale of 0 to 1.
    Returns:
        (N, 3, H, W) float32 on the device of the images.
    """
    channel_mean = torch.tensor(mean, device=images.device).view(3, 1, 1)
    channel_std = torch.tensor(std, device=images.device).view(3, 1, 1)
    return (images.float() / 255 - channel_mean) / channel_std
