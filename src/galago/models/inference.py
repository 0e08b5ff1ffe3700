"""Running a trained network in torch on whole images: what training and export compare with."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from galago.models.layers import fold_norms
from galago.spec import ModelSpec


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (N, 3, H, W) RGB images of 0 to 255, uint8 or float32, as the network takes them:
    (x / 255 - mean) / std per channel, float32.
    """
    shift = torch.tensor(mean, device=images.device).view(3, 1, 1)
    scale = torch.tensor(std, device=images.device).view(3, 1, 1)
    return (images.float() / 255 - shift) / scale


class TorchEngine:
    """An Engine that runs a network in torch, in float32, on the device of the network.

    The network is the one that was trained, with none of what export rewrites, but that BatchNorms
    are folded into the convolutions before them.

    Attributes:
        network: a copy of the network, in eval mode.
    """

    name = "torch"
    input_size: tuple[int, int] | None = None

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        """Copy the network.

        Args:
            network: maps (N, 3, H, W) normalized images to logits.
            spec: holds the mean and std of the normalization.
        """
        self.network = fold_norms(network)
        self._spec = spec
        self._device = next(network.parameters()).device

    @torch.inference_mode()
    def run(self, image: np.ndarray) -> np.ndarray:
        """Map (1, H, W, 3) uint8 RGB to (1, K, H / 8, W / 8) float32 logits."""
        pixels = torch.from_numpy(image).to(self._device).permute(0, 3, 1, 2)
        logits: Tensor = self.network(normalize(pixels, self._spec.mean, self._spec.std))
        result: np.ndarray = logits.float().cpu().numpy()
        return result
