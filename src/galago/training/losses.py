"""What a training step minimizes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, from_numpy, nn

from galago.data.sample import Dataset, subsample_evenly
from galago.errors import TrainingError
from galago.labels import IGNORE_ID, LabelSet
from galago.models.checkpoint import load_checkpoint
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec
from galago.training.config import TrainConfig
from galago.training.distributed import all_reduce_sum
from galago.training.sets import SetTable, marginal_cross_entropy, plain_labels
from galago.training.validate import normalize

STAGES = 2  # the last so many of the backbone are compared


class Teacher:
    """A trained network with frozen weights; it sees the same views as its student.

    Attributes:
        widths: channels of the stages that are compared.
    """

    def __init__(self, checkpoint: Path, labels: LabelSet, device: torch.device) -> None:
        """Load a checkpoint.

        Raises:
            CheckpointError: it cannot be read.
            TrainingError: it labels other classes.
        """
        network, metadata = load_checkpoint(checkpoint)
        self.mean, self.std, names = IMAGENET_MEAN, IMAGENET_STD, None
        if "spec" in metadata:
            spec = ModelSpec.from_json(metadata["spec"])
            self.mean, self.std, names = spec.mean, spec.std, spec.classes
        classes = network.head.classify.out_channels
        if classes != len(labels) or (names and names != labels.names):
            raise TrainingError(
                f"The teacher {checkpoint} labels "
                f"{', '.join(names) if names else f'{classes} classes'}; "
                f"the photos have {', '.join(labels.names)}. Choose a teacher trained on the same "
                "classes."
            )
        self.network = network.eval().requires_grad_(False).to(device)
        self.widths = network.backbone.config.widths[-STAGES:]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map (N, 3, H, W) uint8 to logits (N, K, H / 8, W / 8) and the maps of the last stages."""
        features = self.network.backbone(
            normalize(images, self.mean, self.std).contiguous(memory_format=torch.channels_last)
        )
        return self.network.head(features), features[-STAGES:]


class Projections(nn.Module):
    """1x1 convolutions from the student's channels to the teacher's; dropped after training."""

    def __init__(self, widths: Sequence[int], teacher_widths: Sequence[int]) -> None:
        super().__init__()
        pairs = zip(widths[-STAGES:], teacher_widths, strict=True)
        self.projections = nn.ModuleList(
            nn.Conv2d(own, other, 1, bias=False) for own, other in pairs
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map the backbone's maps to those that the teacher's are compared with."""
        return [
            project(feature)
            for project, feature in zip(self.projections, features[-STAGES:], strict=True)
        ]


def kd_loss(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Return the mean Kullback-Leibler divergence of softened class probabilities, times the
    temperature squared.

    Hinton et al., arXiv:1503.02531, section 2, for each pixel.

    Args:
        logits, target: (N, K, h, w) of student and teacher.
        temperature: divides both.
    """
    student, teacher = ((x.float() / temperature).log_softmax(1) for x in (logits, target))
    distance = F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
    return temperature**2 * _mean_over_processes(distance)


def channel_correlation_loss(features: list[Tensor], targets: list[Tensor]) -> Tensor:
    """Return 1 minus the mean Pearson correlation of each channel with the teacher's.

    Cao et al., arXiv:2207.02039, equation 5.

    Args:
        features, targets: maps (N, C, h, w), equal in shape.
    """
    distances = [
        _mean_over_processes(1 - (_standardize(feature) * _standardize(target)).mean((2, 3)))
        for feature, target in zip(features, targets, strict=True)
    ]
    return torch.stack(distances).mean()


def _standardize(x: Tensor) -> Tensor:
    x = x.float()
    centered = x - x.mean((2, 3), keepdim=True)
    return centered / (centered.square().mean((2, 3), keepdim=True) + 1e-6).sqrt()


def _mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean over the batch of all processes, who hold equal parts of it."""
    return all_reduce_sum(values.sum()) / all_reduce_sum(values.new_tensor(float(values.numel())))


def sample_pixels(
    logits: Tensor, labels: Tensor, stride: int, shift: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Interpolate logits bilinearly at every `stride`-th pixel of every `stride`-th row of the
    labels.

    Because interpolation is linear and separable, these are exactly the values of `F.interpolate`
    to the labels' size at those pixels, at 1 / stride**2 of its cost; with a new random shift each
    step every pixel has its turn.

    Args:
        logits: (N, K, h, w) float32.
        labels: (N, H, W) uint8.
        stride: pixels from one sample to the next.
        shift: (row, column) of the first sample, each in [0, stride).
    Returns:
        (N, K, H', W') logits and (N, H', W') int64 labels.
    """
    rows = _interpolation(logits.shape[2], labels.shape[1], logits)[shift[0] :: stride]
    columns = _interpolation(logits.shape[3], labels.shape[2], logits)[shift[1] :: stride]
    return rows @ (logits @ columns.mT), labels[:, shift[0] :: stride, shift[1] :: stride].long()


def _interpolation(source: int, target: int, like: Tensor) -> Tensor:
    """Return the (target, source) matrix of bilinear interpolation with half-pixel centers along
    one axis.
    """
    identity = torch.eye(source, device=like.device, dtype=like.dtype)[None]
    return F.interpolate(identity, size=target, mode="linear")[0].mT


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    weights: Tensor | None = None,
    hardest: float = 1.0,
    smoothing: float = 0.0,
    sets: SetTable | None = None,
) -> Tensor:
    """Return the mean cross-entropy over the labeled pixels of all processes, 0 where there are
    none.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64, 255 = ignore.
        weights: (K,) float32, of the classes; all alike without it.
        hardest: share of each photo's labeled pixels that count, those with the largest loss (OHEM,
            arXiv:1604.03540, by photo).
        smoothing: probability that the target gives to all classes alike.
        sets: what labels from K on stand for; the loss there is `sets.marginal_cross_entropy`.
    """
    plain = labels if sets is None else plain_labels(labels, logits.shape[1])
    losses = F.cross_entropy(
        logits,
        plain,
        weight=weights,
        ignore_index=IGNORE_ID,
        reduction="none",
        label_smoothing=smoothing,
    ).flatten(1)
    if sets is not None:
        weights = None if weights is None else sets.weights(weights)
        losses = losses + marginal_cross_entropy(
            logits, labels, sets, weights=weights, smoothing=smoothing
        ).flatten(1)
    counted = (labels != IGNORE_ID).flatten(1)
    if hardest < 1:
        counted = counted & ohem_mask(losses.detach(), counted, hardest)
    shares = (
        counted.float()
        if weights is None
        else weights[labels.where(labels != IGNORE_ID, 0)].flatten(1) * counted
    )
    return all_reduce_sum((losses * counted).sum()) / all_reduce_sum(shares.sum()).clamp(min=1e-6)


def ohem_mask(losses: Tensor, counted: Tensor, share: float) -> Tensor:
    """Tell which pixels belong to the share of each photo's counted pixels with the largest loss:
    (N, H W) bool.
    """
    ranked = losses.masked_fill(~counted, -1).sort(1, descending=True).values
    kept = (counted.sum(1, keepdim=True) * share).ceil().long().clamp(min=1)
    return losses >= ranked.gather(1, kept - 1)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 minus the mean soft Dice coefficient over the classes that the batch of all
    processes shows.

    Milletari et al., arXiv:1606.04797, equation 4.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64, 255 = ignore.
    """
    scores = logits.softmax(1) * (labels != IGNORE_ID)[:, None]
    truth = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)[:, None, None]
    shared, found, pixels = (
        all_reduce_sum(part.sum((0, 2, 3))) for part in (scores * truth, scores, truth)
    )
    shown = pixels > 0
    return (shown * (1 - (2 * shared + 1) / (found + pixels + 1))).sum() / shown.sum().clamp(min=1)


def lovasz_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the Lovasz-softmax loss over the classes of a batch.

    Of several processes, each takes its part of the batch.

    A surrogate of 1 - IoU; Berman et al., arXiv:1705.08790, equation 11, with the gradient of its
    algorithm 1.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64, 255 = ignore.
    """
    labeled = labels != IGNORE_ID
    scores, truth = logits.softmax(1).movedim(1, -1)[labeled], labels[labeled]  # (P, K), (P,)
    losses = []
    for class_id in torch.bincount(truth).nonzero().flatten().tolist():
        foreground = (truth == class_id).float()
        errors, order = (foreground - scores[:, class_id]).abs().sort(descending=True)
        hits = foreground[order]
        missed = hits.sum() - hits.cumsum(0)
        jaccard = 1 - missed / (hits.sum() + (1 - hits).cumsum(0))
        steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        losses.append(errors @ steps)
    return torch.stack(losses).mean() if losses else logits.sum() * 0


class AuxiliaryHeads(nn.Module):
    """Classifiers on the last two stages, so that these learn from labels directly.

    Dropped after training.
    """

    def __init__(self, widths: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.classify = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in widths[-2:])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map the backbone's maps to two sets of logits, at strides 16 and 32."""
        return [
            classify(feature)
            for classify, feature in zip(self.classify, features[-2:], strict=True)
        ]


def distillation_loss(
    own: tuple[Tensor, list[Tensor]], answer: tuple[Tensor, list[Tensor]], config: TrainConfig
) -> Tensor:
    """Return how far logits and features of the network are from the teacher's."""
    loss = config.distill * kd_loss(own[0], answer[0], config.temperature)
    return (
        loss + config.distill_features * channel_correlation_loss(own[1], answer[1])
        if config.distill_features
        else loss
    )


def total_loss(
    outputs: list[Tensor],
    labels: Tensor,
    config: TrainConfig,
    step: int,
    weights: Tensor | None = None,
    sets: SetTable | None = None,
) -> Tensor:
    """Return cross-entropy over sampled pixels, plus Dice, plus the auxiliary heads' cross-entropy.

    Dice and Lovasz look at pixels of a single class only.

    Args:
        outputs: logits of the network, then of the auxiliary heads, (N, K, h, w) each.
        labels: (N, H, W) uint8, 255 = ignore.
        config: weights of the parts.
        step: chooses the pixels.
        weights: (K,) of the classes in the cross-entropy, or None.
        sets: what labels from K on stand for, or None where there are none.
    """
    rng = np.random.default_rng((config.seed, step))
    stride = config.loss_stride
    logits, truth = sample_pixels(outputs[0], labels, stride, tuple(rng.integers(0, stride, 2)))
    loss = cross_entropy(
        logits,
        truth,
        weights=weights,
        hardest=config.hardest,
        smoothing=config.label_smoothing,
        sets=sets,
    )
    if sets is not None:
        truth = plain_labels(truth, logits.shape[1])
    if config.dice_weight:
        loss = loss + config.dice_weight * dice_loss(logits, truth)
    if config.lovasz_weight:
        loss = loss + config.lovasz_weight * lovasz_loss(logits, truth)
    for extra in outputs[1:]:  # coarse maps: an eighth of the pixels per axis tells them as much
        shift = tuple(rng.integers(0, 4 * stride, 2))
        coarse, seen = sample_pixels(extra, labels, 4 * stride, shift)
        loss = loss + config.auxiliary_weight * cross_entropy(
            coarse, seen, weights=weights, sets=sets
        )
    return loss


PHOTOS = 500  # of a large data set that are counted


def class_weights(dataset: Dataset, power: float) -> Tensor | None:
    """Return (median frequency / frequency) ** power of each class, (K,) float32, or None for power
    0.

    The frequencies are those of Eigen and Fergus, arXiv:1411.4734, section 4.3.2, over at most
    `PHOTOS` photos; a class that does not occur gets 1. Pixels whose label names several classes
    are shared among these alike.
    """
    if power == 0:
        return None
    counts = np.zeros(len(dataset.labels))
    photos = subsample_evenly(dataset, PHOTOS)
    for index in range(len(photos)):
        pixels = np.bincount(photos[index].labels.ravel(), minlength=IGNORE_ID + 1)
        counts += pixels[: len(counts)]
        for found, shared in zip(dataset.labels.sets, pixels[len(counts) :], strict=False):
            counts[list(found.classes)] += shared / len(found.classes)
    occurs = counts > 0
    weights = np.ones(len(counts), np.float32)
    weights[occurs] = (np.median(counts[occurs]) / counts[occurs]) ** power
    return from_numpy(weights)
