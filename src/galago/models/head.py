"""The heads: per-pixel classes (arXiv:2205.14756, section 3.2) and one class per image."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from galago.errors import choose
from galago.models.layers import ConvNorm, ResidualBlock, fused_mbconv, mbconv
from galago.models.upsample import BicubicUpsample
from galago.models.variants import BackboneConfig, ClsHeadConfig, SegHeadConfig

BLOCKS: Mapping[str, Callable[..., ResidualBlock]] = {
    "mbconv": mbconv,
    "fused_mbconv": fused_mbconv,
}


class SegHead(nn.Module):
    """Logits at stride 8 from the stages at strides 32, 16 and 8, which are projected to one width
    (`inputs`, the lateral convolutions), upsampled, added and refined (`middle`).

    The names of its layers are those of a checkpoint's tensors.
    """

    def __init__(self, config: SegHeadConfig, backbone: BackboneConfig, num_classes: int) -> None:
        super().__init__()
        width = config.width
        eps, act = backbone.norm_eps, backbone.activation
        block = choose(BLOCKS, config.block, "head block")
        self.inputs = nn.ModuleList(
            ConvNorm(channels, width, 1, norm_eps=eps) for channels in backbone.widths[:1:-1]
        )
        self.upsample = nn.ModuleList(BicubicUpsample(factor) for factor in (4, 2, 1))
        self.middle = nn.Sequential(
            *(
                block(width, width, config.expand_ratio, norm_eps=eps, activation=act)
                for _ in range(config.num_blocks)
            )
        )
        final_width = width * (config.final_expand_ratio or 1)
        self.expand = (
            ConvNorm(width, final_width, 1, norm_eps=eps, activation=act)
            if config.final_expand_ratio
            else nn.Identity()
        )
        self.classify = nn.Conv2d(final_width, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the backbone's five maps to (N, K, H / 8, W / 8) logits."""
        branches = zip(self.inputs, self.upsample, features[:1:-1], strict=True)
        total = sum(upsample(lateral(feature)) for lateral, upsample, feature in branches)
        logits: Tensor = self.classify(self.expand(self.middle(total)))
        return logits


class ClsHead(nn.Module):
    """One class per image from the last stage: 1x1 convolution, global average pooling, two linear
    layers with a LayerNorm between.
    """

    def __init__(
        self,
        config: ClsHeadConfig,
        backbone: BackboneConfig,
        num_classes: int,
        *,
        conv_eps: float | None = None,
    ) -> None:
        super().__init__()
        eps, act = backbone.norm_eps, backbone.activation
        self.features = ConvNorm(
            backbone.widths[-1], config.width, 1, norm_eps=conv_eps or eps, activation=act
        )
        self.hidden = nn.Linear(config.width, config.hidden, bias=False)
        self.norm = nn.LayerNorm(config.hidden, eps=eps)
        self.activation = nn.Hardswish() if act == "hardswish" else nn.GELU(approximate="tanh")
        self.classify = nn.Linear(config.hidden, num_classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the backbone's five maps to (N, K) logits."""
        pooled = self.features(features[-1]).mean((2, 3))
        logits: Tensor = self.classify(self.activation(self.norm(self.hidden(pooled))))
        return logits
