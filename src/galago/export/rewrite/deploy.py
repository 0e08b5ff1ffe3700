"""The network as a device runs it: uint8 image in, logits out, without what only training needs."""

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

# (height, width) of files that take one size only, unless another size is asked for
DEFAULT_SIZE = (512, 1024)
# (height, width) and seed of the synthetic scene that the attention is calibrated on
CALIBRATION_SIZE = (256, 512)
CALIBRATION_SEED = 3


class DeployedNetwork(nn.Module):
    """A trained network behind the contract of every model file: (1, H, W, 3) uint8 RGB in, logits
    or labels out.

    Logits are (1, K, H / 8, W / 8) float32; labels, where the spec says so, (1, H, W) uint8.
    Norms are folded, and attention is that of export/rewrite/attention.py, calibrated for float16.
    It is built once for all formats: a writer that changes modules changes a copy. The weights are
    float32; `network.half()` makes the network compute in float16, all but normalization.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        """Build the deployed form of a network, which is left as it is.

        Args:
            network: a trained segmentation network.
            spec: mean, std, output, upsampling; the precision decides the smallest divisor.
        """
        super().__init__()
        smallest = FLOAT16_NORMAL if spec.precision == "float16" else FLOAT16_TINY
        self.network = deploy_attention(fold_norms(network), smallest=smallest)
        self.upsample = (
            UPSAMPLERS[spec.upsampling](spec.output_stride) if spec.output == "labels" else None
        )
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(spec.std).view(3, 1, 1))
        scene = torch.from_numpy(render_scene(CALIBRATION_SEED, CALIBRATION_SIZE).image[None])
        with torch.no_grad():
            balance_attention(self.network, self.normalize(to_planes(scene)))
        self.eval()

    def normalize(self, planes: Tensor) -> Tensor:
        """Return (1, 3, H, W) float32 of 0 to 255 normalized: one subtraction, one division."""
        return (planes - self.mean) / self.std

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, H, W, 3) uint8, H and W multiples of 32, to logits or labels."""
        planes = self.normalize(to_planes(image)).to(self.dtype)
        logits: Tensor = self.network(planes).float()
        return self.upsample(logits).argmax(1).to(torch.uint8) if self.upsample else logits

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return next(self.network.parameters()).dtype


def to_planes(image: Tensor) -> Tensor:
    """Return a (1, H, W, 3) uint8 image as (1, 3, H, W) float32 of 0 to 255.

    The cast comes first: TensorRT takes uint8 into no other operator.
    """
    return image.float().permute(0, 3, 1, 2)


class BilinearUpsample(nn.Module):
    """Bilinear interpolation with half-pixel centers, which every engine has."""

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
    """BicubicUpsample in one convolution per phase and a pixel shuffle: fewer memory passes."""

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
        radius, channels = TAPS // 2, x.shape[1]
        bordered = repeat_border(repeat_border(x, radius, dim=2), radius, dim=3)
        kernel = self.weight.repeat(channels, 1, 1, 1)
        phases = F.conv2d(bordered, kernel, groups=channels)  # (N, C factor ** 2, H, W)
        return F.pixel_shuffle(phases, self.factor)


def shuffle_upsampling(network: nn.Module) -> nn.Module:
    """Replace every BicubicUpsample of a network by a PixelShuffleBicubic, in place.

    For engines whose pixel shuffle is fast.
    """
    return replace_modules(network, BicubicUpsample, PixelShuffleBicubic)
