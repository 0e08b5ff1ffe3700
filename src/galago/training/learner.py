"""What is trained: the network, and what it has in training only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from galago.models.checkpoint import CLASSIFIER, load_backbone, load_checkpoint, load_tensors, read_tensors
from galago.models.efficientvit import EfficientViTSeg, build_model
from galago.models.layers import set_drop_path
from galago.training.config import TrainConfig
from galago.training.distill import Projections
from galago.training.losses import AuxiliaryHeads
from galago.training.styles import STAGES, mix_styles


class Learner(nn.Module):
    """The network and what it has in training only: auxiliary heads, projections to a teacher's channels."""

    def __init__(
        self, network: EfficientViTSeg, num_classes: int, config: TrainConfig, teacher_widths: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        widths = network.backbone.config.widths
        self.network = network
        self.auxiliary = AuxiliaryHeads(widths, num_classes) if config.auxiliary_weight else None
        self.projections = Projections(widths, teacher_widths) if teacher_widths and config.distill_features else None
        self.style_mix, self.checkpointing = config.style_mix, config.checkpointing
        set_drop_path(network.backbone, config.drop_path)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map (N, 3, H, W) to logits at stride 8, then those of the auxiliary heads; and to features as a teacher has them."""
        x, features = images, []
        for number, stage in enumerate(self.network.backbone.stages):
            x = self.run(stage, x)
            if number < STAGES and self.style_mix and torch.rand(()) < self.style_mix:
                x = mix_styles(x)
            features.append(x)
        extra = self.auxiliary(features) if self.auxiliary else []
        return [self.network.head(features), *extra], self.projections(features) if self.projections else []

    def run(self, stage: nn.Module, x: Tensor) -> Tensor:
        """Run a stage; with checkpointing its inner maps are forgotten and computed again for the gradients."""
        if not (self.checkpointing and self.training):
            out: Tensor = stage(x)
            return out
        recomputed: Tensor = checkpoint(
            stage, x, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_statistics(stage))
        )
        return recomputed


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of BatchNorms as they are: the second run over a batch counts for nothing."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = norm.num_batches_tracked.clone() if norm.num_batches_tracked is not None else None
    try:
        yield
    finally:  # torch leaves by an exception as soon as it has what it needs
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count


def start_network(config: TrainConfig, num_classes: int, weights: Path | None) -> EfficientViTSeg:
    """Build the network with random weights or with those of a checkpoint; what that lacks or has for other classes starts anew.

    A network that classifies whole photos, as of ImageNet, gives its backbone; the attention's eps is ours.

    Raises:
        CheckpointError: the checkpoint is damaged or of another network.
    """
    network = build_model(config.variant, num_classes, head=config.head)
    if weights is None:
        return network
    if read_tensors(weights)[1].get("kind") == CLASSIFIER:
        load_tensors(network.backbone, load_backbone(weights).state_dict(), source=str(weights))
        return network
    tensors, own = load_checkpoint(weights)[0].state_dict(), network.state_dict()
    if tensors["head.classify.bias"].shape != own["head.classify.bias"].shape:
        tensors |= {name: own[name] for name in ("head.classify.weight", "head.classify.bias")}
    load_tensors(network, tensors, source=str(weights))
    return network
