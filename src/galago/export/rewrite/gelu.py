"""The tanh form of GELU, for converters that silently write the exact one instead: ExecuTorch's
XNNPACK, coremltools.
"""

import math

import torch
from torch import Tensor, nn

from galago.models.layers import replace_modules


class SigmoidGELU(nn.Module):
    """The tanh form of GELU through (1 + tanh u) / 2 = sigmoid(2 u), in operators that mean the
    same everywhere.

    u = sqrt(2 / pi) (x + 0.044715 x^3): Hendrycks and Gimpel, arXiv:1606.08415, section 2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same shape."""
        scale = 2 * math.sqrt(2 / math.pi)
        return x * torch.sigmoid(x * (x * x * (0.044715 * scale) + scale))


def decompose_gelu(network: nn.Module) -> nn.Module:
    """Replace every GELU of a network, all of the tanh form, by a SigmoidGELU, in place."""
    return replace_modules(network, nn.GELU, lambda gelu: SigmoidGELU())
