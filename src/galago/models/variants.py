"""The network sizes as values: backbones b0-b3 and l0-l3, and the heads that were published for
them.
"""

from dataclasses import dataclass

from galago.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """A backbone of five stages, at strides 2, 4, 8, 16 and 32.

    Attributes:
        family: `b` (Hardswish, MBConv, attention in the last two stages) or `l` (GELU, fused
            MBConv, attention in the last).
        widths: channels of each stage.
        depths: blocks of each stage.
        head_dim: D, channels per attention head.
        scales: kernel sizes of the further attention tokens.
    """

    family: str
    widths: tuple[int, int, int, int, int]
    depths: tuple[int, int, int, int, int]
    head_dim: int
    scales: tuple[int, ...] = (5,)

    def __post_init__(self) -> None:
        if self.family not in ("b", "l"):
            raise ConfigError(f"Unknown backbone family {self.family!r}. Choose one of: b, l.")

    @property
    def norm_eps(self) -> float:
        """Eps of every norm."""
        return 1e-5 if self.family == "b" else 1e-7

    @property
    def activation(self) -> str:
        """Name of the activation, a key of layers.ACTIVATIONS."""
        return "hardswish" if self.family == "b" else "gelu"


@dataclass(frozen=True, kw_only=True)
class SegHeadConfig:
    """A segmentation head.

    Attributes:
        width: channels to which stages 4, 3 and 2 are projected before they are added.
        num_blocks: residual blocks after the sum.
        block: `mbconv` or `fused_mbconv`.
        expand_ratio: how much wider the middle of such a block is.
        final_expand_ratio: how much wider the last hidden layer is, or None for no such layer.
    """

    width: int
    num_blocks: int
    block: str = "mbconv"
    expand_ratio: int = 4
    final_expand_ratio: int | None = None


@dataclass(frozen=True, kw_only=True)
class ClsHeadConfig:
    """A classification head: 1x1 convolution to `width`, global average pooling, linear layers to
    `hidden` and to the classes.
    """

    width: int
    hidden: int


BACKBONES = {
    "b0": BackboneConfig(
        family="b", widths=(8, 16, 32, 64, 128), depths=(1, 2, 2, 2, 2), head_dim=16
    ),
    "b1": BackboneConfig(
        family="b", widths=(16, 32, 64, 128, 256), depths=(1, 2, 3, 3, 4), head_dim=16
    ),
    "b2": BackboneConfig(
        family="b", widths=(24, 48, 96, 192, 384), depths=(1, 3, 4, 4, 6), head_dim=32
    ),
    "b3": BackboneConfig(
        family="b", widths=(32, 64, 128, 256, 512), depths=(1, 4, 6, 6, 9), head_dim=32
    ),
    "l0": BackboneConfig(
        family="l", widths=(32, 64, 128, 256, 512), depths=(1, 1, 1, 4, 4), head_dim=32
    ),
    "l1": BackboneConfig(
        family="l", widths=(32, 64, 128, 256, 512), depths=(1, 1, 1, 6, 6), head_dim=32
    ),
    "l2": BackboneConfig(
        family="l", widths=(32, 64, 128, 256, 512), depths=(1, 2, 2, 8, 8), head_dim=32
    ),
    "l3": BackboneConfig(
        family="l", widths=(64, 128, 256, 512, 1024), depths=(1, 2, 2, 8, 8), head_dim=32
    ),
}

# The first of each variant is its default; those of b0 ADE20K, l0 and l3 were never published and
# follow their neighbors.
SEG_HEADS = {
    "b0-cityscapes": SegHeadConfig(width=32, num_blocks=1, final_expand_ratio=4),
    "b1-cityscapes": SegHeadConfig(width=64, num_blocks=3, final_expand_ratio=4),
    "b2-cityscapes": SegHeadConfig(width=96, num_blocks=3, final_expand_ratio=4),
    "b3-cityscapes": SegHeadConfig(width=128, num_blocks=3, final_expand_ratio=4),
    "b0-ade20k": SegHeadConfig(width=32, num_blocks=1),
    "b1-ade20k": SegHeadConfig(width=64, num_blocks=3),
    "b2-ade20k": SegHeadConfig(width=96, num_blocks=3),
    "b3-ade20k": SegHeadConfig(width=128, num_blocks=3),
    "l0-cityscapes": SegHeadConfig(width=256, num_blocks=1, block="fused_mbconv", expand_ratio=1),
    "l1-cityscapes": SegHeadConfig(width=256, num_blocks=3, block="fused_mbconv", expand_ratio=1),
    "l2-cityscapes": SegHeadConfig(width=256, num_blocks=5, block="fused_mbconv", expand_ratio=1),
    "l3-cityscapes": SegHeadConfig(width=256, num_blocks=5, block="fused_mbconv", expand_ratio=1),
    "l0-ade20k": SegHeadConfig(width=128, num_blocks=1, block="fused_mbconv", final_expand_ratio=8),
    "l1-ade20k": SegHeadConfig(width=128, num_blocks=3, block="fused_mbconv", final_expand_ratio=8),
    "l2-ade20k": SegHeadConfig(width=128, num_blocks=3, block="fused_mbconv", final_expand_ratio=8),
    "l3-ade20k": SegHeadConfig(width=128, num_blocks=3, block="fused_mbconv", final_expand_ratio=8),
}

CLS_HEADS = {
    "b0": ClsHeadConfig(width=1024, hidden=1280),
    "b1": ClsHeadConfig(width=1536, hidden=1600),
    "b2": ClsHeadConfig(width=2304, hidden=2560),
    "b3": ClsHeadConfig(width=2304, hidden=2560),
    "l0": ClsHeadConfig(width=3072, hidden=3200),
    "l1": ClsHeadConfig(width=3072, hidden=3200),
    "l2": ClsHeadConfig(width=3072, hidden=3200),
    "l3": ClsHeadConfig(width=6144, hidden=6400),
}
