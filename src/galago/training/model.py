"""What is trained: the network, and what it has in training only."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from galago.errors import CheckpointError, ModelError
from galago.models.checkpoint import (
    CLASSIFIER,
    load_backbone,
    load_checkpoint,
    load_tensors,
    read_metadata,
)
from galago.models.efficientvit import EfficientViTSeg, build_model
from galago.models.layers import set_drop_path
from galago.spec import ModelSpec
from galago.training.config import TrainConfig
from galago.training.losses import AuxiliaryHeads, Projections
from galago.training.styles import STAGES, mix_styles


class TrainingModel(nn.Module):
    """The network and what it has in training only: auxiliary heads, projections to a teacher's
    channels.
    """

    def __init__(
        self,
        network: EfficientViTSeg,
        num_classes: int,
        config: TrainConfig,
        teacher_widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        widths = network.backbone.config.widths
        self.network = network
        self.auxiliary = AuxiliaryHeads(widths, num_classes) if config.auxiliary_weight else None
        self.projections = (
            Projections(widths, teacher_widths)
            if teacher_widths and config.distill_features
            else None
        )
        self.style_mix, self.checkpointing = config.style_mix, config.checkpointing
        set_drop_path(network.backbone, config.drop_path)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map (N, 3, H, W) to logits at stride 8, then those of the auxiliary heads.

        And to features as a teacher has them.
        """
        x, features = images, []
        for number, stage in enumerate(self.network.backbone.stages):
            x = self.run(stage, x)
            if number < STAGES and self.style_mix and torch.rand(()) < self.style_mix:
                x = mix_styles(x)
            features.append(x)
        extra = self.auxiliary(features) if self.auxiliary else []
        return [self.network.head(features), *extra], self.projections(
            features
        ) if self.projections else []

    def run(self, stage: nn.Module, x: Tensor) -> Tensor:
        """Run a stage.

        With checkpointing its inner maps are forgotten and computed again for the gradients.
        """
        if not (self.checkpointing and self.training):
            out: Tensor = stage(x)
            return out
        recomputed: Tensor = checkpoint(
            stage,
            x,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), frozen_statistics(stage)),
        )
        return recomputed


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of BatchNorms as they are: the second run over a batch counts for
    nothing.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = (
            norm.num_batches_tracked.clone() if norm.num_batches_tracked is not None else None
        )
    try:
        yield
    finally:  # torch leaves by an exception as soon as it has what it needs
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count


def start_network(
    config: TrainConfig, num_classes: int, weights: Path | None, *, names: Sequence[str] = ()
) -> EfficientViTSeg:
    """Build the network with random weights or with those of a checkpoint.

    Of its classifier those rows are taken over whose classes have the same names, wherever they
    stand there; see `match_classes`. A network that classifies whole photos, as of ImageNet, gives
    its backbone; the attention's eps is ours.

    Args:
        config: variant and head.
        num_classes: K.
        weights: the checkpoint.
        names: of the K classes; without them the rows are taken over where there are as many.
    Raises:
        CheckpointError: the checkpoint is damaged or of another network.
    """
    network = build_model(config.variant, num_classes, head=config.head)
    if weights is None:
        return network
    if read_metadata(weights).get("kind") == CLASSIFIER:
        load_tensors(network.backbone, load_backbone(weights).state_dict(), source=str(weights))
        return network
    loaded, metadata = load_checkpoint(weights)
    tensors, own = loaded.state_dict(), network.state_dict()
    theirs = checkpoint_classes(weights, metadata) if names else None
    rows = match_classes(theirs or len(tensors["head.classify.bias"]), names or num_classes)
    for name in ("head.classify.weight", "head.classify.bias"):
        if tensors[name].shape[1:] != own[name].shape[1:]:
            continue  # of another network: load_tensors says so
        taken = own[name].clone()
        for row, source in enumerate(rows):
            if source is not None:
                taken[row] = tensors[name][source]
        tensors[name] = taken
    load_tensors(network, tensors, source=str(weights))
    return network


def match_classes(theirs: Sequence[str] | int, ours: Sequence[str] | int) -> list[int | None]:
    """Return for each class of ours the row of their classifier that knows it, None where none
    does.

    Args:
        theirs, ours: names of the classes, or how many there are. Where one of them has no names,
            the rows are taken as they are, if there are as many.
    """
    if isinstance(theirs, int) or isinstance(ours, int):
        count, rows = (len(side) if not isinstance(side, int) else side for side in (ours, theirs))
        return [row if count == rows else None for row in range(count)]
    return [theirs.index(name) if name in theirs else None for name in ours]


def checkpoint_classes(path: Path, metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the names of a checkpoint's classes, None where it does not tell them.

    Raises:
        CheckpointError: its description is damaged.
    """
    if "spec" not in metadata:
        return None
    try:
        names = ModelSpec.from_json(metadata["spec"]).classes
    except ModelError as error:
        raise CheckpointError(f"{path} has a damaged description: {error}") from error
    if str(len(names)) != metadata.get("num_classes"):
        raise CheckpointError(
            f"{path} names {len(names)} classes, but has {metadata.get('num_classes')}. Use "
            "another checkpoint."
        )
    return names


def describe_start(weights: Path, names: Sequence[str]) -> str:
    """Say in one sentence what a run takes from a checkpoint.

    Args:
        weights: the checkpoint.
        names: of the classes that the run learns.
    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    metadata = read_metadata(weights)
    if metadata.get("kind") == CLASSIFIER:
        return f"Starting from the backbone of {weights}; the head starts anew."
    theirs = checkpoint_classes(weights, metadata)
    if theirs is None:
        return f"Starting from {weights}, which names no classes: its classifier is kept if it has {len(names)}."
    rows = match_classes(theirs, names)
    known = [name for name, row in zip(names, rows, strict=True) if row is not None]
    anew = [name for name, row in zip(names, rows, strict=True) if row is None]
    if not known:
        return f"Starting from {weights}, of other classes: the classifier starts anew."
    if anew:
        shown = ", ".join(anew[:5]) + (f" and {len(anew) - 5} more" if len(anew) > 5 else "")
        verb = "starts" if len(anew) == 1 else "start"
        return f"Starting from {weights}: its classifier keeps {len(known)} of {len(names)} classes; {shown} {verb} anew."
    if theirs == tuple(names):
        return f"Starting from {weights}, of the same classes: its classifier is kept."
    return f"Starting from {weights}: its classifier is kept, sorted by the names of the classes."


def ema(network: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a network that follows it slowly, buffers of the norms included.

    The first update copies the network. After t updates the decay is (1 + t) / (10 + t), at most
    `decay`, so that the random weights of the start are soon forgotten.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], steps: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(steps)) / (10 + int(steps)))
        pairs = list(zip(averages, values, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        if floats:
            torch._foreach_lerp_(
                [average for average, _ in floats], [value for _, value in floats], weight
            )
        for average, value in pairs:
            if not average.is_floating_point():
                average.copy_(value)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
