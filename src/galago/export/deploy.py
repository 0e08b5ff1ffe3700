"""The network as a device runs it: uint8 photo in, logits out, nothing left that only training needs."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from galago.data.scenes import draw_scene
from galago.export.attention import balance_attention, deploy_attention
from galago.models.layers import ConvNorm
from galago.models.upsample import TAPS, BicubicUpsample, repeat_border
from galago.spec import ModelSpec

CALIBRATION_SIZE = (256, 512)  # (height, width) of the drawn photo from which the attention takes its scales
CALIBRATION_SEED = 3


class DeployedNetwork(nn.Module):
    """A trained network behind the contract of every model file: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32 out.

    Its attention is that of export/attention.py; `half()` makes all weights and sums float16.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = deploy_attention(fold_norms(network))
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(spec.std).view(3, 1, 1))
        balance_attention(self, torch.from_numpy(draw_scene(CALIBRATION_SEED, CALIBRATION_SIZE).image[None]))

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, H, W, 3) uint8, H and W multiples of 32, to logits (1, K, H / 8, W / 8)."""
        # the cast stands first: TensorRT lets uint8 into nothing else
        pixels = image.to(self.mean.dtype).permute(0, 3, 1, 2)
        logits: Tensor = self.network((pixels - self.mean) / self.deviation)
        return logits.float()


class ShuffledBicubic(nn.Module):
    """The same numbers as BicubicUpsample in one convolution per phase and a pixel shuffle: fewer walks through memory."""

    weight: Tensor

    def __init__(self, upsample: BicubicUpsample) -> None:
        super().__init__()
        self.factor = upsample.factor
        weight = upsample.weight  # (factor, 5)
        product = torch.einsum("ai,bj->abij", weight, weight)
        self.register_buffer("weight", product.reshape(self.factor**2, 1, TAPS, TAPS))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, factor H, factor W)."""
        if self.factor == 1:
            return x
        reach = TAPS // 2
        bordered = repeat_border(repeat_border(x, reach, dim=2), reach, dim=3)
        phases = F.conv2d(bordered, self.weight.repeat(x.shape[1], 1, 1, 1), groups=x.shape[1])  # (N, C factor ** 2, H, W)
        return F.pixel_shuffle(phases, self.factor)


def shuffle_upsampling(network: nn.Module) -> nn.Module:
    """Put a ShuffledBicubic in place of every BicubicUpsample of a network, in place; for engines that shuffle fast."""
    for module in [*network.modules()]:
        for name, child in module.named_children():
            if isinstance(child, BicubicUpsample):
                setattr(module, name, ShuffledBicubic(child))
    return network


def fold_norms(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose BatchNorms are part of the convolutions before them: the same function, fewer steps."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return network
