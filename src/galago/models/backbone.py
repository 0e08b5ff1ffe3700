"""The backbone: five stages, each half as high and wide as the one before (arXiv:2205.14756,
section 3.2, figure 4).
"""

from torch import Tensor, nn

from galago.models.attention import attention_block
from galago.models.layers import ConvNorm, ds_conv, fused_mbconv, mbconv, res_block
from galago.models.variants import BackboneConfig

STRIDES = (2, 4, 8, 16, 32)  # of the five maps


class Backbone(nn.Module):
    """Features of an image at five scales, `STRIDES`, with `config.widths` channels, for the heads
    or any other task.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        stages = _b_stages(config) if config.family == "b" else _l_stages(config)
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W), H and W multiples of 32, to five maps (N, widths[i], H / 2**(i + 1), W
        / 2**(i + 1)).
        """
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _b_stages(config: BackboneConfig) -> list[list[nn.Module]]:
    """Return the blocks of b0-b3: a stem, two stages of MBConv, two of attention."""
    widths, depths = config.widths, config.depths
    eps, act = config.norm_eps, config.activation
    stem: list[nn.Module] = [ConvNorm(3, widths[0], 3, stride=2, norm_eps=eps, activation=act)]
    stem += [ds_conv(widths[0], norm_eps=eps, activation=act) for _ in range(depths[0])]
    stages = [stem]
    for before, width, depth in zip(widths[:2], widths[1:3], depths[1:3], strict=True):
        blocks: list[nn.Module] = [mbconv(before, width, 4, stride=2, norm_eps=eps, activation=act)]
        blocks += [mbconv(width, width, 4, norm_eps=eps, activation=act) for _ in range(depth - 1)]
        stages.append(blocks)
    for before, width, depth in zip(widths[2:4], widths[3:], depths[3:], strict=True):
        blocks = [
            mbconv(before, width, 4, stride=2, norm_eps=eps, inner_norm=False, activation=act)
        ]
        blocks += _attention_blocks(config, width, depth, expand_ratio=4)
        stages.append(blocks)
    return stages


def _l_stages(config: BackboneConfig) -> list[list[nn.Module]]:
    """Return the blocks of l0-l3: convolutions first, attention in the last stage only.

    The first block of a stage expands four times as much as the others.
    """
    widths, depths = config.widths, config.depths
    eps, act = config.norm_eps, config.activation
    stem: list[nn.Module] = [ConvNorm(3, widths[0], 3, stride=2, norm_eps=eps, activation=act)]
    stem += [res_block(widths[0], norm_eps=eps, activation=act) for _ in range(depths[0])]
    stages = [stem]
    for before, width, depth in zip(widths[:2], widths[1:3], depths[1:3], strict=True):
        blocks: list[nn.Module] = [
            fused_mbconv(before, width, 16, stride=2, norm_eps=eps, activation=act)
        ]
        blocks += [
            fused_mbconv(width, width, 4, norm_eps=eps, activation=act) for _ in range(depth)
        ]
        stages.append(blocks)
    blocks = [
        mbconv(widths[2], widths[3], 16, stride=2, norm_eps=eps, inner_norm=False, activation=act)
    ]
    blocks += [
        mbconv(widths[3], widths[3], 4, norm_eps=eps, inner_norm=False, activation=act)
        for _ in range(depths[3])
    ]
    stages.append(blocks)
    blocks = [
        mbconv(widths[3], widths[4], 24, stride=2, norm_eps=eps, inner_norm=False, activation=act)
    ]
    stages.append(blocks + _attention_blocks(config, widths[4], depths[4], expand_ratio=6))
    return stages


def _attention_blocks(
    config: BackboneConfig, width: int, depth: int, *, expand_ratio: int
) -> list[nn.Module]:
    return [
        attention_block(
            width,
            config.head_dim,
            scales=config.scales,
            expand_ratio=expand_ratio,
            norm_eps=config.norm_eps,
            activation=config.activation,
        )
        for _ in range(depth)
    ]
