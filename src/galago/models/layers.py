"""The convolutional layers and blocks of EfficientViT."""

import copy
from collections.abc import Callable, Mapping
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from galago.errors import choose

M = TypeVar("M", bound=nn.Module)
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "hardswish": nn.Hardswish,
    "gelu": lambda: nn.GELU(approximate="tanh"),  # the published l networks use the tanh form
}


def replace_modules(network: nn.Module, kind: type[M], make: Callable[[M], nn.Module]) -> nn.Module:
    """Replace every module of one kind inside a network by what `make` returns, in place."""
    for module in [*network.modules()]:
        for name, child in module.named_children():
            if isinstance(child, kind):
                setattr(module, name, make(child))
    return network


def fold_norms(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose BatchNorms are part of the convolutions before them.

    It is the same function in fewer steps.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return network


class ConvNorm(nn.Module):
    """A convolution with "same" padding, then an optional BatchNorm, then an optional activation.

    Without the norm the convolution carries a bias instead.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        depthwise: bool = False,
        norm_eps: float | None = 1e-5,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=in_channels if depthwise else 1,
            bias=norm_eps is None,
        )
        self.norm = (
            nn.Identity() if norm_eps is None else nn.BatchNorm2d(out_channels, eps=norm_eps)
        )
        self.activation = (
            choose(ACTIVATIONS, activation, "activation")() if activation else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        out: Tensor = self.activation(self.norm(self.conv(x)))
        return out


def drop_path(x: Tensor, rate: float) -> Tensor:
    """Set whole samples of (N, C, H, W) to 0 at random and scale up the others.

    Huang et al., arXiv:1603.09382, section 3.
    """
    kept = x.new_empty(len(x), 1, 1, 1).bernoulli_(1 - rate)
    return x * (kept / (1 - rate))


class ResidualBlock(nn.Module):
    """Layers in order, with a skip connection around them where the shape stays.

    In training a sample skips the layers with the probability `drop_rate`, where there is a skip
    connection. The names of the layers are those of a checkpoint's tensors.
    """

    def __init__(self, layers: dict[str, nn.Module], *, skip: bool) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.skip = skip
        self.drop_rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        out = x
        for layer in self.children():
            out = layer(out)
        if not self.skip:
            return out
        if self.training and self.drop_rate:
            out = drop_path(out, self.drop_rate)
        return x + out


def set_drop_path(network: nn.Module, rate: float) -> None:
    """Set the drop rate of residual blocks in training: 0 for the first one, `rate` for the last,
    linearly between.
    """
    blocks = [
        module for module in network.modules() if isinstance(module, ResidualBlock) and module.skip
    ]
    for index, block in enumerate(blocks):
        block.drop_rate = rate * index / max(1, len(blocks) - 1)


def ds_conv(channels: int, *, norm_eps: float, activation: str) -> ResidualBlock:
    """Return a depthwise 3x3, then a 1x1 convolution (DSConv), with a skip connection."""
    depthwise = ConvNorm(
        channels, channels, 3, depthwise=True, norm_eps=norm_eps, activation=activation
    )
    pointwise = ConvNorm(channels, channels, 1, norm_eps=norm_eps)
    return ResidualBlock({"depth": depthwise, "point": pointwise}, skip=True)


def res_block(channels: int, *, norm_eps: float, activation: str) -> ResidualBlock:
    """Return two 3x3 convolutions with a skip connection."""
    conv1 = ConvNorm(channels, channels, 3, norm_eps=norm_eps, activation=activation)
    conv2 = ConvNorm(channels, channels, 3, norm_eps=norm_eps)
    return ResidualBlock({"conv1": conv1, "conv2": conv2}, skip=True)


def mbconv(
    in_channels: int,
    out_channels: int,
    expand_ratio: int,
    *,
    stride: int = 1,
    norm_eps: float,
    inner_norm: bool = True,
    activation: str,
) -> ResidualBlock:
    """Return an MBConv: 1x1 to `expand_ratio` times the width, depthwise 3x3, 1x1 back.

    It has a skip connection where the shape stays. With `inner_norm=False` the first two
    convolutions carry a bias instead of a norm, which the attention stages need.
    """
    width = expand_ratio * in_channels
    inner_eps = norm_eps if inner_norm else None
    layers: dict[str, nn.Module] = {
        "expand": ConvNorm(in_channels, width, 1, norm_eps=inner_eps, activation=activation),
        "depth": ConvNorm(
            width,
            width,
            3,
            stride=stride,
            depthwise=True,
            norm_eps=inner_eps,
            activation=activation,
        ),
        "point": ConvNorm(width, out_channels, 1, norm_eps=norm_eps),
    }
    return ResidualBlock(layers, skip=stride == 1 and in_channels == out_channels)


def fused_mbconv(
    in_channels: int,
    out_channels: int,
    expand_ratio: int,
    *,
    stride: int = 1,
    norm_eps: float,
    activation: str,
) -> ResidualBlock:
    """Return a fused MBConv: one 3x3 convolution to `expand_ratio` times the width, then 1x1
    back.
    """
    width = expand_ratio * in_channels
    layers: dict[str, nn.Module] = {
        "spatial": ConvNorm(
            in_channels, width, 3, stride=stride, norm_eps=norm_eps, activation=activation
        ),
        "point": ConvNorm(width, out_channels, 1, norm_eps=norm_eps),
    }
    return ResidualBlock(layers, skip=stride == 1 and in_channels == out_channels)
