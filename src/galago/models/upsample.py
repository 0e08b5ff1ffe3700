"""Bicubic upsampling by a whole factor, as two small convolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.errors import ConfigError

CUBIC_A = -0.75  # the kernel's parameter in PyTorch, ONNX and the published networks
TAPS = 5  # a cubic kernel reaches two pixels to either side


class BicubicUpsample(nn.Module):
    """Bicubic interpolation by a whole factor with half-pixel centers and clamped borders.

    For a fixed factor that is a fixed linear map: each output pixel weighs the five input pixels
    around it, first along the rows, then along the columns, and its weights depend only on its
    phase within the input pixel. So a depthwise convolution per axis on a map with repeated borders
    gives the numbers of `F.interpolate(mode="bicubic")`, runs several times faster than the Resize
    operators of common runtimes, and exists in all of them.

    Keys: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, equation 15
    with a = -0.75.
    """

    weight: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        if factor < 1:
            raise ConfigError(f"Upsampling needs a whole factor of at least 1, got {factor}.")
        self.factor = factor
        self.register_buffer("weight", phase_weights(factor), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, factor H, factor W)."""
        if self.factor == 1:
            return x
        n, channels, height, width = x.shape
        factor, radius = self.factor, TAPS // 2
        kernel = self.weight.to(x.dtype).repeat(channels, 1)  # (C factor, 5)
        x = repeat_border(repeat_border(x, radius, dim=2), radius, dim=3)
        x = F.conv2d(x, kernel[:, None, :, None], groups=channels)  # (N, C factor, H, W + 4)
        x = x.reshape(n, channels, factor, height, width + 2 * radius).transpose(2, 3)
        x = x.reshape(n, channels, factor * height, width + 2 * radius)
        x = F.conv2d(x, kernel[:, None, None, :], groups=channels)  # (N, C factor, factor H, W)
        x = x.reshape(n, channels, factor, factor * height, width).permute(0, 1, 3, 4, 2)
        return x.reshape(n, channels, factor * height, factor * width)


def repeat_border(x: Tensor, radius: int, *, dim: int) -> Tensor:
    """Return x with its first and last slice along a dimension repeated `radius` times.

    The operators are those that every converter knows.
    """
    first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
    return torch.cat([first] * radius + [x] + [last] * radius, dim=dim)


def phase_weights(factor: int) -> Tensor:
    """Return the weights of the five input pixels around each of the `factor` phases: (factor, 5)
    float32, rows sum to 1.
    """
    # of a phase, in input pixels from the middle one
    offset = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5
    distance = (torch.arange(TAPS) - TAPS // 2 - offset[:, None]).abs()
    near = ((CUBIC_A + 2) * distance - (CUBIC_A + 3)) * distance**2 + 1
    far = CUBIC_A * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0)).float()
