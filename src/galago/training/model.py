"""The model that is trained: the network, its auxiliary heads, and its moving average."""

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
from galago.training._compat import lerp_all
from galago.training.config import TrainConfig
from galago.training.losses import AuxiliaryHeads


class TrainingModel(nn.Module):
    """A network and what it has in training only: auxiliary heads, activation checkpointing."""

    def __init__(self, network: EfficientViTSeg, num_classes: int, config: TrainConfig) -> None:
        super().__init__()
        widths = network.backbone.config.widths
        self.network = network
        self.auxiliary = AuxiliaryHeads(widths, num_classes) if config.auxiliary_weight else None
        self.activation_checkpointing = config.activation_checkpointing
        set_drop_path(network.backbone, config.drop_path)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) to logits at stride 8, then those of the auxiliary heads."""
        x, features = images, []
        for stage in self.network.backbone.stages:
            x = self._run_stage(stage, x)
            features.append(x)
        auxiliary = self.auxiliary(features) if self.auxiliary else []
        return [self.network.head(features), *auxiliary]

    def _run_stage(self, stage: nn.Module, x: Tensor) -> Tensor:
        """Run a stage; with checkpointing its activations are computed again for the gradients."""
        if not (self.activation_checkpointing and self.training):
            out: Tensor = stage(x)
            return out
        recomputed: Tensor = checkpoint(
            stage,
            x,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _frozen_statistics(stage)),
        )
        return recomputed


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of BatchNorms, so that a batch counts in them only once."""
    norms = [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:  # torch leaves by an exception as soon as it has what it needs
        for norm, momentum, count in before:
            norm.momentum = momentum
            norm.num_batches_tracked = count


def start_network(
    config: TrainConfig, num_classes: int, weights: Path | None, *, names: Sequence[str] = ()
) -> EfficientViTSeg:
    """Return the network with random weights or with those of a checkpoint.

    Rows of the checkpoint's classifier are kept for classes of the same names, in any order; see
    `match_classes`. A checkpoint of an image classifier, for example from ImageNet, gives its
    backbone only; the attention's eps is ours.

    Args:
        config: variant and head.
        num_classes: K.
        weights: the checkpoint.
        names: of the K classes; without names the classifier is kept if it has K rows.
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
    tensors, initial = loaded.state_dict(), network.state_dict()
    their_names = checkpoint_classes(weights, metadata) if names else None
    rows = match_classes(their_names or len(tensors["head.classify.bias"]), names or num_classes)
    for name in ("head.classify.weight", "head.classify.bias"):
        if tensors[name].shape[1:] != initial[name].shape[1:]:
            continue  # of another network: load_tensors raises
        merged = initial[name].clone()
        for row, source in enumerate(rows):
            if source is not None:
                merged[row] = tensors[name][source]
        tensors[name] = merged
    load_tensors(network, tensors, source=str(weights))
    return network


def match_classes(theirs: Sequence[str] | int, ours: Sequence[str] | int) -> list[int | None]:
    """Return for each of our classes its row in the checkpoint's classifier, None for a new class.

    Args:
        theirs, ours: names of the classes, or their number. If either has no names, the rows are
            kept in their order, if there are as many.
    """
    if isinstance(theirs, int) or isinstance(ours, int):
        count = ours if isinstance(ours, int) else len(ours)
        rows = theirs if isinstance(theirs, int) else len(theirs)
        return [row if count == rows else None for row in range(count)]
    return [theirs.index(name) if name in theirs else None for name in ours]


def checkpoint_classes(path: Path, metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the names of a checkpoint's classes, None if it has none.

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


def describe_weights(weights: Path, names: Sequence[str]) -> str:
    """Return a sentence on what a run keeps of a checkpoint.

    Args:
        weights: the checkpoint.
        names: of the classes of the run.
    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    metadata = read_metadata(weights)
    start = f"Starting from {weights}"
    if metadata.get("kind") == CLASSIFIER:
        return f"Starting from the backbone of {weights}; the head is initialized at random."
    theirs = checkpoint_classes(weights, metadata)
    if theirs is None:
        return f"{start}, which names no classes: its classifier is kept if it has {len(names)}."
    new = [name for name in names if name not in theirs]
    if len(new) == len(names):
        return f"{start}, of other classes: the classifier is re-initialized."
    if new:
        shown = ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
        kept = len(names) - len(new)
        verb = "is" if len(new) == 1 else "are"
        return (
            f"{start}: its classifier keeps {kept} of {len(names)} classes; {shown} {verb} "
            "re-initialized."
        )
    if theirs == tuple(names):
        return f"{start}, of the same classes: its classifier is kept."
    return f"{start}: its classifier is kept, in the order of our classes."


def make_ema(network: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of a network, buffers of BatchNorm included.

    The first update copies the network. After t updates the decay is (1 + t) / (10 + t), at most
    `decay`, so that the random weights of the start are soon forgotten.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], steps: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(steps)) / (10 + int(steps)))
        pairs = list(zip(averages, values, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        if floats:
            lerp_all([average for average, _ in floats], [value for _, value in floats], weight)
        for average, value in pairs:
            if not average.is_floating_point():
                average.copy_(value)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
