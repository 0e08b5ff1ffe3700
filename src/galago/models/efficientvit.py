"""EfficientViT for segmentation and for classification."""

from torch import Tensor, nn

from galago.errors import ConfigError, choose
from galago.models.backbone import Backbone
from galago.models.head import ClsHead, SegHead
from galago.models.variants import BACKBONES, CLS_HEADS, SEG_HEADS


class EfficientViTSeg(nn.Module):
    """A class for every pixel, at an eighth of the image's resolution."""

    def __init__(self, backbone: Backbone, head: SegHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Map normalized images (N, 3, H, W), H and W multiples of 32, to logits (N, K, H / 8, W /
        8).
        """
        logits: Tensor = self.head(self.backbone(images))
        return logits


class EfficientViTCls(nn.Module):
    """A class for a whole image."""

    def __init__(self, backbone: Backbone, head: ClsHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Map normalized images (N, 3, H, W), H and W multiples of 32, to logits (N, K)."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


def build_model(variant: str, num_classes: int, *, head: str | None = None) -> EfficientViTSeg:
    """Build a segmentation network with random weights.

    Args:
        variant: a key of BACKBONES, such as `b0`.
        num_classes: K, at least 1.
        head: a key of SEG_HEADS, such as `b1-ade20k`; default: that of the variant's Cityscapes
            network.
    Raises:
        ConfigError: a name is unknown, or the class count is not positive.
    """
    backbone = choose(BACKBONES, variant, "network variant")
    _check_classes(num_classes)
    config = choose(SEG_HEADS, head or f"{variant}-cityscapes", "segmentation head")
    return EfficientViTSeg(Backbone(backbone), SegHead(config, backbone, num_classes))


def build_classifier(
    variant: str, num_classes: int = 1000, *, head_conv_eps: float | None = None
) -> EfficientViTCls:
    """Build a classification network with random weights.

    Args:
        variant: a key of BACKBONES.
        num_classes: K, at least 1.
        head_conv_eps: eps of the norm after the head's convolution; by default that of the backbone
            (timm's l networks: 1e-5).
    Raises:
        ConfigError: the variant is unknown, or the class count is not positive.
    """
    backbone = choose(BACKBONES, variant, "network variant")
    _check_classes(num_classes)
    return EfficientViTCls(
        Backbone(backbone),
        ClsHead(CLS_HEADS[variant], backbone, num_classes, conv_eps=head_conv_eps),
    )


def _check_classes(num_classes: int) -> None:
    if num_classes < 1:
        raise ConfigError(f"A network needs at least one class, got {num_classes}.")
