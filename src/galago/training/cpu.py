"""Faster forms of layers that torch computes slowly on a CPU, and a setting of the allocator.

The layers keep function, parameters and names. Two cases, found with torch 2.13 and measured in
docs/log.md:
- A BatchNorm of 8 channels: threads add up statistics in the same cache line and wait for each
  other (false sharing).
- In bfloat16, a depthwise convolution with a stride or of 5 x 5: its gradients are computed one
  pixel at a time.
"""

import ctypes
import sys
from typing import Any

import torch
from torch import Tensor, nn

from galago.models.attention import no_autocast
from galago.training._compat import change_class

LANES = 16  # float32 numbers in a cache line, and in a register of AVX-512


def optimize_for_cpu(model: nn.Module) -> nn.Module:
    """Replace layers that are slow on a CPU by their fast form, in place, and return the model."""
    for module in model.modules():
        if _is_narrow_norm(module):
            change_class(module, NarrowBatchNorm)
        elif _is_slow_convolution(module):
            change_class(module, Float32Conv)
    return model


def _is_narrow_norm(module: nn.Module) -> bool:
    """Return whether several pixels of a BatchNorm's input fill a cache line."""
    if type(module) is not nn.BatchNorm2d:
        return False
    return module.num_features < LANES and LANES % module.num_features == 0


def _is_slow_convolution(module: nn.Module) -> bool:
    """Return whether a convolution is depthwise, with a stride or a kernel other than 3 x 3."""
    if type(module) is not nn.Conv2d or not 1 < module.groups == module.in_channels:
        return False
    return (module.stride[0], module.kernel_size[0]) != (1, 3)


class Float32Conv(nn.Conv2d):
    """A convolution that is computed in float32 under autocast as well."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H / stride, W / stride), of the input's dtype."""
        with no_autocast(x.device.type):
            out: Tensor = super().forward(x.float()).to(x.dtype)
        return out


class NarrowBatchNorm(nn.BatchNorm2d):
    """BatchNorm of so few channels that several pixels fill a cache line."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        pixels = x.numel() // self.num_features
        if not self.training or pixels % (LANES // self.num_features):
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        out, mean, variance = _Normalization.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (pixels / (pixels - 1)), self.momentum)
        normalized: Tensor = out
        return normalized


class _Normalization(torch.autograd.Function):
    """Batch normalization over rows of several pixels: arXiv:1502.03167, algorithm 1, section 3."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (N, C, H, W) of x's dtype, and the (C,) float32 mean and variance of the batch."""
        rows, pixels = _as_rows(x), x.numel() // len(weight)
        mean = _by_channel(rows.sum(0), weight) / pixels
        centered = rows - _along_rows(mean)
        variance = _by_channel(centered.square().sum(0), weight) / pixels
        scale = weight * (variance + eps).rsqrt()
        context.save_for_backward(centered, variance, weight)
        context.eps = eps
        context.mark_non_differentiable(mean, variance)
        normalized = torch.addcmul(_along_rows(bias), centered, _along_rows(scale))
        return _as_images(normalized, x), mean, variance

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of x, weight and bias."""
        centered, variance, weight = context.saved_tensors
        gradient, pixels = _as_rows(gradients[0]), centered.numel() // len(weight)
        inverse_std = (variance + context.eps).rsqrt()
        grad_bias = _by_channel(gradient.sum(0), weight)
        grad_weight = _by_channel((gradient * centered).sum(0), weight) * inverse_std
        scale = weight * inverse_std
        grad_x = torch.addcmul(
            _along_rows(-scale * grad_bias / pixels),
            centered,
            _along_rows(-scale * inverse_std * grad_weight / pixels),
        )
        grad_x.addcmul_(gradient, _along_rows(scale))
        return _as_images(grad_x, gradients[0]), grad_weight, grad_bias, None


def _as_rows(images: Tensor) -> Tensor:
    """Return (N, C, H, W) as (N H W C / 16, 16) float32, pixel after pixel."""
    return images.permute(0, 2, 3, 1).reshape(-1, LANES).float()


def _as_images(rows: Tensor, like: Tensor) -> Tensor:
    """Return rows as (N, C, H, W) again, with the shape and dtype of others."""
    batch, channels, height, width = like.shape
    return rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2).to(like.dtype)


def _by_channel(of_row: Tensor, like: Tensor) -> Tensor:
    """Return (C,) sums of the (16,) values that belong to the same channel."""
    return of_row.reshape(-1, len(like)).sum(0)


def _along_rows(of_channel: Tensor) -> Tensor:
    """Return (C,) values repeated for the pixels of a row: (16,)."""
    return of_channel.repeat(LANES // len(of_channel))


# Parameters of mallopt(3) in glibc's malloc.h.
TRIM_THRESHOLD = -1
TOP_PAD = -2
MMAP_MAX = -4


def tune_malloc() -> bool:
    """Tell glibc to keep freed memory, and return whether it was done.

    Activations of a step are tens of megabytes each. glibc returns blocks of that size to the
    kernel at once, and the kernel clears each page again when the next layer asks for one, which
    takes a tenth to a quarter of a step of b0. The process holds its peak memory instead. Other C
    libraries are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 2**28))
    return all(library.mallopt(parameter, value) for parameter, value in settings)
