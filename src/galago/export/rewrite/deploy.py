"""The network as a device runs it: uint8 photo in, logits out, nothing left that only training
needs.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.export.rewrite.attention import (
    FLOAT16_NORMAL,
    FLOAT16_TINY,
    balance_attention,
    deploy_attention,
)
from galago.models.layers import fold_norms, replace_modules
from galago.models.upsample import TAPS, BicubicUpsample, repeat_border
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec

DEFAULT_SIZE = (
    512,
    1024,
)  # (height, width) of files that take one size only, where none is asked for
CALIBRATION_SIZE = (
    256,
    512,
)  # (height, width) of the drawn photo from which the attention takes its scales
CALIBRATION_SEED = 3


class DeployedNetwork(nn.Module):
    """A trained network behind the contract of every model file: (1, H, W, 3) uint8 RGB in, logits
    or labels out.

    Logits are (1, K, H / 8, W / 8) float32; labels, where the description says so, (1, H, W) uint8.
    Attention is that of export/rewrite/attention.py. The weights are float32; `network.half()`
    makes the network compute in float16, all but normalization.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        smallest = FLOAT16_NORMAL if spec.precision == "float16" else FLOAT16_TINY
        self.network = deploy_attention(fold_norms(network), smallest=smallest)
        self.grow = (
            UPSAMPLERS[spec.upsampling](spec.output_stride) if spec.output == "labels" else None
        )
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(spec.std).view(3, 1, 1))
        with torch.no_grad():
            balance_attention(
                self.network,
                self.normalize(
                    torch.from_numpy(render_scene(CALIBRATION_SEED, CALIBRATION_SIZE).image[None])
                ),
            )

    def normalize(self, image: Tensor) -> Tensor:
        """Map (1, H, W, 3) uint8 to (1, 3, H, W) float32 of zero mean and unit deviation."""
        # the cast stands first: TensorRT lets uint8 into nothing else
        return (image.float().permute(0, 3, 1, 2) - self.mean) / self.deviation

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, H, W, 3) uint8, H and W multiples of 32, to logits or labels."""
        logits: Tensor = self.network(self.normalize(image).to(self.precision)).float()
        return self.grow(logits).argmax(1).to(torch.uint8) if self.grow else logits

    @property
    def precision(self) -> torch.dtype:
        """What the network computes in."""
        return next(self.network.parameters()).dtype


class BilinearUpsample(nn.Module):
    """Bilinear interpolation with half-pixel centers, as every engine has it."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, factor H, factor W)."""
        return F.interpolate(
            x, scale_factor=float(self.factor), mode="bilinear", align_corners=False
        )


UPSAMPLERS: Mapping[str, Callable[[int], nn.Module]] = {
    "bilinear": BilinearUpsample,
    "bicubic": BicubicUpsample,
}


class PixelShuffleBicubic(nn.Module):
    """The same numbers as BicubicUpsample in one convolution per phase and a pixel shuffle: fewer
    walks through memory.
    """

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
        phases = F.conv2d(
            bordered, self.weight.repeat(x.shape[1], 1, 1, 1), groups=x.shape[1]
        )  # (N, C factor ** 2, H, W)
        return F.pixel_shuffle(phases, self.factor)


def shuffle_upsampling(network: nn.Module) -> nn.Module:
    """Put a PixelShuffleBicubic in place of every BicubicUpsample of a network, in place.

    For engines that shuffle fast.
    """
    return replace_modules(network, BicubicUpsample, PixelShuffleBicubic)
