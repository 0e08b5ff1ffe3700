"""Multi-scale linear attention, the module that gives EfficientViT its name (Cai et al.,
arXiv:2205.14756, section 3.1).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.errors import ConfigError, choose
from galago.models.layers import ConvNorm, ResidualBlock, mbconv

AttentionForm = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def linear_attention(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Mix all pixels at a cost linear in their number; inputs and result are (N, heads, D, L).

    ReLU replaces softmax, so k and v can be summed over the pixels first: arXiv:2205.14756, section
    3.1, equation 2.
    """
    q, k = q.relu(), k.relu()
    weight = k.sum(-1, keepdim=True).transpose(-2, -1) @ q + eps  # (N, heads, 1, L)
    weight = weight.clamp(
        min=eps
    )  # nothing here, but ONNX optimizers drop "+ 1e-15", and a pixel like no other is 0 / 0 then
    return (v @ k.transpose(-2, -1)) @ q / weight  # (D, D) @ (D, L) per head


def quadratic_attention(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Give the result of `linear_attention` through the (L, L) similarities: cheaper where L <= D,
    and a check elsewhere.
    """
    similarity = k.relu().mT @ q.relu()  # (N, heads, L, L)
    return v @ (similarity / (similarity.sum(-2, keepdim=True) + eps))


def auto_attention(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Take the cheaper order of the same product, as the published networks do."""
    form = linear_attention if q.shape[-1] > q.shape[-2] else quadratic_attention
    return form(q, k, v, eps)


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Mix all pixels with softmax, at a cost quadratic in their number: the rival, for comparison
    (eps has no use here).
    """
    q, k, v = (
        x.mT.contiguous() for x in (q, k, v)
    )  # else torch takes the form that stores all (L, L) similarities
    return F.scaled_dot_product_attention(q, k, v).mT


FORMS: dict[str, AttentionForm] = {
    "auto": auto_attention,
    "linear": linear_attention,
    "quadratic": quadratic_attention,
    "softmax": softmax_attention,
}


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
        scales: odd kernel sizes of the further token sets; the tokens of single pixels are always
            there.
        norm_eps: of the projection's BatchNorm.
        eps: keeps the quotient finite; 1e-15 in the authors' networks, 1e-5 in timm's.
        form: a key of FORMS; `auto`, `linear` and `quadratic` are the same function in different
            order.
    Raises:
        ConfigError: channels do not divide into heads, a scale is even, or the form is unknown.
    """

    def __init__(
        self,
        channels: int,
        head_dim: int,
        *,
        scales: tuple[int, ...] = (5,),
        norm_eps: float = 1e-5,
        eps: float = 1e-15,
        form: str = "auto",
    ) -> None:
        super().__init__()
        if channels % head_dim:
            raise ConfigError(
                f"Attention needs channels that are a multiple of head_dim, got {channels} and "
                f"{head_dim}."
            )
        if even := [scale for scale in scales if scale % 2 == 0 or scale < 1]:
            raise ConfigError(f"Attention scales are odd kernel sizes, got {even}.")
        choose(FORMS, form, "attention form")
        heads = channels // head_dim
        self.head_dim, self.eps, self.form = head_dim, eps, form
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
        tokens = tokens.reshape(
            n, -1, 3 * self.head_dim, height * width
        )  # per head: q, k, v of D channels each
        if tokens.dtype in (
            torch.float16,
            torch.bfloat16,
        ):  # sums over L pass 65504, and eps = 1e-15 is 0 in float16
            tokens = tokens.float()
        q, k, v = tokens.chunk(3, dim=2)
        with no_autocast(x.device.type):
            mixed = FORMS[self.form](q, k, v, self.eps)
        out: Tensor = self.project(mixed.reshape(n, -1, height, width).to(x.dtype))
        return out


def no_autocast(device: str) -> AbstractContextManager[object]:
    """Return a context without automatic lower precision.

    An empty one where there is none to switch off, for the exporters.
    """
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
    expand: int,
    norm_eps: float,
    activation: str,
) -> AttentionBlock:
    """Return an EfficientViT block as the published networks have it."""
    attention = MultiScaleAttention(channels, head_dim, scales=scales, norm_eps=norm_eps)
    local = mbconv(
        channels, channels, expand, norm_eps=norm_eps, inner_norm=False, activation=activation
    )
    return AttentionBlock(attention, local)


def set_attention(network: nn.Module, *, form: str | None = None, eps: float | None = None) -> None:
    """Change the form or the eps of every attention in a network, in place."""
    for module in network.modules():
        if isinstance(module, MultiScaleAttention):
            if form is not None:
                choose(FORMS, form, "attention form")
                module.form = form
            if eps is not None:
                module.eps = eps
