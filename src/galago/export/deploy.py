"""The network as a device runs it: uint8 photo in, logits out, nothing left that only training needs."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from galago.models.attention import set_attention
from galago.models.layers import ConvNorm
from galago.spec import ModelSpec


class DeployedNetwork(nn.Module):
    """A trained network behind the contract of every model file: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32 out."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = fold_norms(network)
        set_attention(self.network, form="linear")  # the same function as "auto", and one graph for every size
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(spec.std).view(3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, H, W, 3) uint8, H and W multiples of 32, to logits (1, K, H / 8, W / 8)."""
        pixels = image.float().permute(0, 3, 1, 2)  # in this order: TensorRT knows uint8 as input of a network only
        logits: Tensor = self.network((pixels - self.mean) / self.deviation)
        return logits


def fold_norms(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose BatchNorms are part of the convolutions before them: the same function, fewer steps."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return network
