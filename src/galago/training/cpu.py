"""Layers that torch computes slowly on a CPU, in forms that it computes fast: same function,
parameters and names.

Two cases, found with torch 2.13 and measured in docs/log.md:
- A BatchNorm of 8 channels: its threads add up statistics side by side in one line of the cache and
wait for each other.
- In bfloat16, a depthwise convolution with a stride or of 5 x 5: its gradients go pixel by pixel.
"""

import ctypes
import sys
from typing import Any

import torch
from torch import Tensor, nn

from galago.models.attention import no_autocast

WIDE = 16  # float32 numbers in a line of the cache, and in a register of AVX-512


def optimize_for_cpu(network: nn.Module) -> nn.Module:
    """Let the layers of a network that are slow on a CPU take their fast form, in place."""
    for module in network.modules():
        if (
            type(module) is nn.BatchNorm2d
            and module.num_features < WIDE
            and WIDE % module.num_features == 0
        ):
            module.__class__ = NarrowBatchNorm
        elif (
            type(module) is nn.Conv2d
            and 1 < module.groups == module.in_channels
            and (module.stride[0], module.kernel_size[0]) != (1, 3)
        ):
            module.__class__ = Float32Conv
    return network


class Float32Conv(nn.Conv2d):
    """A convolution that is computed in float32 under autocast as well."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H / stride, W / stride), of the input's dtype."""
        with no_autocast(x.device.type):
            out: Tensor = super().forward(x.float()).to(x.dtype)
        return out


class NarrowBatchNorm(nn.BatchNorm2d):
    """BatchNorm of so few channels that several pixels fill a line of the cache."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        pixels = x.numel() // self.num_features
        if not self.training or pixels % (WIDE // self.num_features):
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        out, mean, variance = Normalization.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (pixels / (pixels - 1)), self.momentum)
        normalized: Tensor = out
        return normalized


class Normalization(torch.autograd.Function):
    """BatchNorm's function, over rows of several pixels: arXiv:1502.03167, algorithm 1 and section
    3.
    """

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (N, C, H, W) of x's dtype, and the (C,) float32 mean and variance of the batch."""
        rows, pixels = as_rows(x), x.numel() // len(weight)
        mean = by_channel(rows.sum(0), weight) / pixels
        centered = rows - along_rows(mean)
        variance = by_channel(centered.square().sum(0), weight) / pixels
        scale = weight * (variance + eps).rsqrt()
        context.save_for_backward(centered, variance, weight)
        context.eps = eps
        context.mark_non_differentiable(mean, variance)
        return (
            as_images(torch.addcmul(along_rows(bias), centered, along_rows(scale)), x),
            mean,
            variance,
        )

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of x, weight and bias."""
        centered, variance, weight = context.saved_tensors
        gradient, pixels = as_rows(gradients[0]), centered.numel() // len(weight)
        inverse = (variance + context.eps).rsqrt()
        of_bias = by_channel(gradient.sum(0), weight)
        of_weight = by_channel((gradient * centered).sum(0), weight) * inverse
        scale = weight * inverse
        of_x = torch.addcmul(
            along_rows(-scale * of_bias / pixels),
            centered,
            along_rows(-scale * inverse * of_weight / pixels),
        )
        of_x.addcmul_(gradient, along_rows(scale))
        return as_images(of_x, gradients[0]), of_weight, of_bias, None


def as_rows(images: Tensor) -> Tensor:
    """View (N, C, H, W) as (N H W C / 16, 16) float32, pixel after pixel."""
    return images.permute(0, 2, 3, 1).reshape(-1, WIDE).float()


def as_images(rows: Tensor, like: Tensor) -> Tensor:
    """View rows as (N, C, H, W) again, of the dtype of others."""
    number, channels, height, width = like.shape
    return rows.reshape(number, height, width, channels).permute(0, 3, 1, 2).to(like.dtype)


def by_channel(of_row: Tensor, like: Tensor) -> Tensor:
    """Add up (16,) values that belong to the same channel: (C,)."""
    return of_row.reshape(-1, len(like)).sum(0)


def along_rows(of_channel: Tensor) -> Tensor:
    """Repeat (C,) values for the pixels of a row: (16,)."""
    return of_channel.repeat(WIDE // len(of_channel))


# Parameters of mallopt(3) in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4


def tune_malloc() -> bool:
    """Tell the C library to keep what the process frees.

    Features of a step are tens of megabytes each. glibc returns blocks of that size to the kernel
    at once, and the kernel clears each page again when the next layer asks for one, which takes a
    tenth to a quarter of a step of b0. The process holds its peak memory instead.

    Returns:
        whether the C library took it; other libraries than glibc are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 2**28))
    return all(library.mallopt(parameter, value) for parameter, value in settings)
