"""Attention as a device runs it: the same function, within the range of float16, in an order that
engines run faster.

A quotient of sums does not change when q, k and v are scaled, so they are rescaled to the middle of
float16's range; docs/log.md has figures.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from galago.models.attention import MultiScaleAttention
from galago.models.layers import replace_modules

FLOAT16_NORMAL = 2.0**-14  # the smallest of full precision; devices may flush smaller ones to zero
# the smallest subnormal: never 0, and far below what a float32 file could notice
FLOAT16_TINY = 2.0**-24
# the authors' 1e-15 only avoids 0 / 0, timm's 1e-5 is part of the function
NEGLIGIBLE_EPS = 1e-9
# targets of the tokens on the calibration image, once scaled
KEY_MEAN = 2.0**-9
QUERY_MAX = 2.0**2
VALUE_MAX = 2.0**-2
# of a key's largest value to its mean, at most: rare channels may be frequent in another image
LARGEST_RATIO = 64.0


class DeployedAttention(nn.Module):
    """`MultiScaleAttention` without what converters and devices do not support.

    q, k and v come from separate convolutions, so that nothing is split; the sum of k is computed
    beside the sum of v k^T instead of by a padded v; the divisor is clamped to a number that
    float16 can represent. Until `rescale_for_fp16`, tokens are those of the original.
    """

    divisor_eps: Tensor

    def __init__(self, attention: MultiScaleAttention, smallest: float = FLOAT16_TINY) -> None:
        super().__init__()
        self.smallest = smallest
        self.head_dim = attention.head_dim
        self.heads = attention.qkv.in_channels // attention.head_dim  # of one scale
        self.single = split_qkv_conv(attention.qkv, self.heads)
        self.depth = nn.ModuleList(
            split_qkv_conv(scale.depth, self.heads)  # type: ignore[arg-type]
            for scale in attention.aggregate
        )
        self.group = nn.ModuleList(
            split_qkv_conv(scale.group, self.heads)  # type: ignore[arg-type]
            for scale in attention.aggregate
        )
        self.project = attention.project
        scales = 1 + len(self.depth)
        self.adds_eps = attention.eps > NEGLIGIBLE_EPS
        self.register_buffer("divisor_eps", torch.full((scales * self.heads, 1, 1), attention.eps))

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, C, H, W) to the same shape, float32 or float16."""
        q, k, v = self.tokens(x)
        mixed = self.mix(q, k, v)[-1]
        out: Tensor = self.project(mixed.reshape(x.shape[0], -1, x.shape[2], x.shape[3]))
        return out

    def tokens(self, x: Tensor) -> list[Tensor]:
        """Return q, k and v, each (1, scales * heads, D, L), q and k at least 0."""
        return [
            planes.reshape(x.shape[0], -1, self.head_dim, x.shape[2] * x.shape[3])
            for planes in self.maps(x)
        ]

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same q, k and v, each (1, scales * C, H, W)."""
        maps = [convolution(x) for convolution in self.single]
        scales = [
            maps,
            *(
                self._aggregate(maps, depth, group)
                for depth, group in zip(self.depth, self.group, strict=True)
            ),
        ]
        queries, keys, values = zip(*scales, strict=True)
        return torch.cat(queries, 1).relu(), torch.cat(keys, 1).relu(), torch.cat(values, 1)

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the sum of k, the sum of v k^T, divisor, dividend and quotient.

        The quotient is (1, scales * heads, D, L).
        """
        key_sum = k.sum(-1, keepdim=True).transpose(-2, -1)  # (1, scales * heads, 1, D)
        products = v @ k.transpose(-2, -1)  # (1, scales * heads, D, D)
        divisor = key_sum @ q  # (1, scales * heads, 1, L)
        if self.adds_eps:
            divisor = divisor + self.divisor_eps
        divisor = divisor.clamp(min=self.smallest)
        dividend = products @ q
        return key_sum, products, divisor, dividend, dividend / divisor

    @torch.no_grad()
    def rescale_for_fp16(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        """Scale q, k and v by powers of two, folded into the convolutions around them.

        The function stays the same.

        Args:
            q, k, v: (scales * heads, D, L) float32 tokens of a calibration image, unscaled.
        """
        mean = k.mean(-1).maximum(k.amax(-1) / LARGEST_RATIO)
        mean = mean.maximum(mean.amax(-1, keepdim=True) / LARGEST_RATIO)  # (scales * heads, D)
        key = _power_of_two(KEY_MEAN / mean)
        head = _power_of_two(QUERY_MAX / (q.amax(-1) / key).amax(-1, keepdim=True))
        value = _power_of_two(VALUE_MAX / v.abs().amax(-1))
        self.divisor_eps *= head[..., None]
        for kind, scale in enumerate((head / key, key, value)):
            single, *others = scale.flatten().chunk(1 + len(self.depth))  # each (C,)
            _scale_outputs(self.single[kind], single)
            for group, other in zip(self.group, others, strict=True):
                _scale_inputs(group[kind], 1 / single)  # type: ignore[index]
                _scale_outputs(group[kind], other)  # type: ignore[index]
        self.project.conv.weight /= value.flatten()[:, None, None]

    @staticmethod
    def _aggregate(maps: Sequence[Tensor], depth: nn.Module, group: nn.Module) -> list[Tensor]:
        layers = zip(maps, depth, group, strict=True)  # type: ignore[call-overload]
        return [pointwise(depthwise(planes)) for planes, depthwise, pointwise in layers]


def deploy_attention(network: nn.Module, *, smallest: float = FLOAT16_TINY) -> nn.Module:
    """Replace every attention of a network by a DeployedAttention, in place.

    None divides by less than `smallest`.
    """
    return replace_modules(
        network, MultiScaleAttention, lambda attention: DeployedAttention(attention, smallest)
    )


@torch.no_grad()
def balance_attention(network: nn.Module, image: Tensor) -> None:
    """Rescale every DeployedAttention of a network into the range of float16, in place.

    The function stays the same.

    Args:
        network: in float32.
        image: input of the network to calibrate on; resolution and subject hardly matter, as scales
            are powers of two with much headroom.
    """
    for module, (q, k, v) in capture_qkv(network, image).values():
        module.rescale_for_fp16(q[0], k[0], v[0])


def capture_qkv(
    network: nn.Module, image: Tensor
) -> dict[str, tuple[DeployedAttention, list[Tensor]]]:
    """Run a network and return every attention with its q, k and v, by the name of the module."""
    captured: dict[str, tuple[DeployedAttention, list[Tensor]]] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, DeployedAttention):

            def capture(module: nn.Module, inputs: tuple[Tensor], name: str = name) -> None:
                assert isinstance(module, DeployedAttention)
                captured[name] = module, module.tokens(inputs[0])

            handles.append(module.register_forward_pre_hook(capture))
    try:
        network(image)
    finally:
        for handle in handles:
            handle.remove()
    return captured


def split_qkv_conv(convolution: nn.Conv2d, heads: int) -> nn.ModuleList:
    """Return one convolution each for q, k and v.

    The outputs of the given one are, per head, D channels of q, of k and of v. Its inputs are
    either those three as well (depthwise, or grouped by head and kind), or one map that all three
    read.
    """
    size = convolution.weight.shape[1:]
    kinds = convolution.weight.detach().reshape(heads, 3, -1, *size).transpose(0, 1)
    channels = convolution.out_channels // 3
    split = []
    for weight in kinds:  # (heads, D, ...)
        single = nn.Conv2d(
            convolution.in_channels if convolution.groups == 1 else channels,
            channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            padding=convolution.padding,  # type: ignore[arg-type]
            groups=convolution.groups if convolution.groups == 1 else convolution.groups // 3,
            bias=False,
        )
        single.weight = nn.Parameter(weight.reshape(channels, *size).clone(), requires_grad=False)
        split.append(single)
    return nn.ModuleList(split)


def _power_of_two(ratio: Tensor) -> Tensor:
    """Return the nearest power of two, by which floats multiply without rounding; 1 where there is
    nothing to scale.
    """
    return torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0).log2().round().exp2()


def _scale_outputs(convolution: nn.Module, scale: Tensor) -> None:
    convolution.weight *= scale[:, None, None, None]  # type: ignore[operator]


def _scale_inputs(convolution: nn.Module, scale: Tensor) -> None:
    """Multiply the weights that read each input channel of a grouped 1x1 convolution."""
    assert isinstance(convolution, nn.Conv2d)
    groups, width = convolution.groups, convolution.weight.shape[1]
    outputs = convolution.out_channels // groups
    per_output = scale.reshape(groups, 1, width).expand(groups, outputs, width)
    convolution.weight *= per_output.reshape(-1, width)[..., None, None]
