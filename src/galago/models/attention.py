"""Multi-scale linear attention, the module that gives EfficientViT its name (Cai et al.,
arXiv:2205.14756, section 3.1).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from galago.errors import ConfigError
from galago.models.layers import ConvNorm, ResidualBlock, mbconv

# q, k, v, each (N, heads, D, L), and eps to the result of the same shape
AttentionFunction = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def linear_attention(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Mix all pixels at a cost linear in their number; inputs and result are (N, heads, D, L).

    ReLU replaces softmax, so k and v can be summed over the pixels first: arXiv:2205.14756, section
    3.1, equation 2.
    """
    q, k = q.relu(), k.relu()
    weight = k.sum(-1, keepdim=True).transpose(-2, -1) @ q + eps  # (N, heads, 1, L)
    # changes nothing here, but ONNX optimizers drop "+ 1e-15", and then a query with no positive
    # key would give 0/0
    weight = weight.clamp(min=eps)
    return (v @ k.transpose(-2, -1)) @ q / weight  # (D, D) @ (D, L) per head


def quadratic_attention(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Compute `linear_attention` through the (L, L) similarities, which is cheaper for L <= D."""
    similarity = k.relu().mT @ q.relu()  # (N, heads, L, L)
    return v @ (similarity / (similarity.sum(-2, keepdim=True) + eps))


def auto_attention(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Compute the same product in the cheaper order, which the published networks do too."""
    implementation = linear_attention if q.shape[-1] > q.shape[-2] else quadratic_attention
    return implementation(q, k, v, eps)


class Aggregation(nn.Module):
    """Tokens of a larger neighborhood: a depthwise convolution, then a 1x1 within each head's q, k
    or v.
    """

    def __init__(self, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(
            channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False
        )
        self.group = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map (N, 3 C, H, W) to the same shape."""
        out: Tensor = self.group(self.depth(qkv))
        return out


class MultiScaleAttention(nn.Module):
    """Attention over all pixels, with tokens of several neighborhood sizes side by side.

    Args:
        channels: C, a multiple of head_dim.
        head_dim: D, channels per head.
        scales: odd kernel sizes of the further token sets, beside the tokens of single pixels.
        norm_eps: of the projection's BatchNorm.
        eps: keeps the quotient finite; 1e-15 in the authors' networks, 1e-5 in timm's.
    Raises:
        ConfigError: channels do not divide into heads, or a scale is even.
    """

    def __init__(
        self,
        channels: int,
        head_dim: int,
        *,
        scales: tuple[int, ...] = (5,),
        norm_eps: float = 1e-5,
        eps: float = 1e-15,
    ) -> None:
        super().__init__()
        if channels % head_dim:
            raise ConfigError(
                f"Attention needs channels that are a multiple of head_dim, got {channels} and "
                f"{head_dim}."
            )
        if even := [scale for scale in scales if scale % 2 == 0 or scale < 1]:
            raise ConfigError(f"Attention scales are odd kernel sizes, got {even}.")
        heads = channels // head_dim
        self.head_dim = head_dim
        self.eps = eps
        self.implementation: AttentionFunction = auto_attention
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.aggregate = nn.ModuleList(
            Aggregation(3 * channels, scale, groups=3 * heads) for scale in scales
        )
        self.project = ConvNorm(channels * (1 + len(scales)), channels, 1, norm_eps=norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape.

        The core runs in at least float32 whatever the rest does.
        """
        n, _, height, width = x.shape
        qkv = self.qkv(x)
        tokens = torch.cat([qkv, *(aggregate(qkv) for aggregate in self.aggregate)], dim=1)
        # per head: q, k, v of D channels each
        tokens = tokens.reshape(n, -1, 3 * self.head_dim, height * width)
        if tokens.dtype in (torch.float16, torch.bfloat16):
            tokens = tokens.float()  # sums over L pass 65504, and eps = 1e-15 is 0 in float16
        q, k, v = tokens.chunk(3, dim=2)
        with no_autocast(x.device.type):
            mixed = self.implementation(q, k, v, self.eps)
        out: Tensor = self.project(mixed.reshape(n, -1, height, width).to(x.dtype))
        return out


def no_autocast(device: str) -> AbstractContextManager[object]:
    """Return a context without autocast; an empty one where it is off, for the exporters."""
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


class AttentionBlock(nn.Module):
    """The EfficientViT block: attention for the context, then an MBConv for the detail, each with a
    skip connection.
    """

    def __init__(self, attention: MultiScaleAttention, local: ResidualBlock) -> None:
        super().__init__()
        self.attention = attention
        self.local = local

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        out: Tensor = self.local(x + self.attention(x))
        return out


def attention_block(
    channels: int,
    head_dim: int,
    *,
    scales: tuple[int, ...],
    expand_ratio: int,
    norm_eps: float,
    activation: str,
) -> AttentionBlock:
    """Return an EfficientViT block of the published networks."""
    attention = MultiScaleAttention(channels, head_dim, scales=scales, norm_eps=norm_eps)
    local = mbconv(
        channels, channels, expand_ratio, norm_eps=norm_eps, inner_norm=False, activation=activation
    )
    return AttentionBlock(attention, local)


def set_attention(
    network: nn.Module,
    *,
    implementation: AttentionFunction | None = None,
    eps: float | None = None,
) -> None:
    """Change the implementation or the eps of every attention in a network, in place."""
    for module in network.modules():
        if isinstance(module, MultiScaleAttention):
            if implementation is not None:
                module.implementation = implementation
            if eps is not None:
                module.eps = eps
