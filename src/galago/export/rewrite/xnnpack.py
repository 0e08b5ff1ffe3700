"""The deployed network in operators that XNNPACK supports, so that it runs the whole graph.

ExecuTorch runs everything else in portable kernels, which are slow, and each of them cuts the graph
in two. docs/log.md has figures.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.export.rewrite.attention import DeployedAttention
from galago.export.rewrite.deploy import DEFAULT_SIZE, DeployedNetwork
from galago.export.rewrite.gelu import decompose_gelu
from galago.models.layers import replace_modules
from galago.models.upsample import BicubicUpsample
from galago.spec import ModelSpec


class BatchedAttention(nn.Module):
    """A DeployedAttention in products of three axes, which need no expansion, and with the sum of k
    as a mean.
    """

    def __init__(self, attention: DeployedAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, C, H, W) to the same shape."""
        tokens = x.shape[2] * x.shape[3]
        head_dim, divisor_eps = self.attention.head_dim, self.attention.divisor_eps
        maps = self.attention.maps(x)
        key_sum = (maps[1].mean((2, 3), keepdim=True) * float(tokens)).reshape(-1, 1, head_dim)
        q, k, v = (
            planes.reshape(-1, head_dim, tokens) for planes in maps
        )  # (scales * heads, D, L)
        divisor = torch.bmm(key_sum, q)
        if self.attention.adds_eps:
            divisor = divisor + divisor_eps
        dividend = torch.bmm(torch.bmm(v, k.transpose(1, 2)), q)
        mixed = dividend / divisor.clamp(min=self.attention.smallest)
        out: Tensor = self.attention.project(mixed.reshape(1, -1, x.shape[2], x.shape[3]))
        return out


class MatrixUpsample(nn.Module):
    """BicubicUpsample for maps of one size: one matrix for the rows, one for the columns."""

    rows: Tensor
    columns: Tensor

    def __init__(self, factor: int, size: tuple[int, int]) -> None:
        super().__init__()
        for name, length in zip(("rows", "columns"), size, strict=True):
            self.register_buffer(name, upsampling_matrix(factor, length))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, factor H, factor W)."""
        wide = F.linear(x, self.columns)
        return F.linear(wide.transpose(2, 3), self.rows).transpose(2, 3)


def upsampling_matrix(factor: int, length: int) -> Tensor:
    """Return BicubicUpsample of a line of pixels as a matrix: (factor * length, length) float32."""
    lines: Tensor = BicubicUpsample(factor)(torch.eye(length)[None, :, :, None])[0, :, :, 0]
    return lines.T.contiguous()


def rewrite_for_xnnpack(deployed: DeployedNetwork, spec: ModelSpec) -> DeployedNetwork:
    """Return a copy of the deployed network in modules that XNNPACK runs.

    It takes one size: that of the spec, or `DEFAULT_SIZE`.
    """
    deployed = copy.deepcopy(deployed)
    stride = spec.output_stride
    height, width = spec.input_size or DEFAULT_SIZE

    def to_matrices(upsample: BicubicUpsample) -> nn.Module:
        factor = upsample.factor
        if factor == 1:
            return upsample
        return MatrixUpsample(factor, (height // (stride * factor), width // (stride * factor)))

    replace_modules(deployed.network, BicubicUpsample, to_matrices)
    replace_modules(deployed.network, DeployedAttention, BatchedAttention)
    decompose_gelu(deployed.network)
    if isinstance(deployed.upsample, BicubicUpsample):
        deployed.upsample = MatrixUpsample(stride, (height // stride, width // stride))
    return deployed
