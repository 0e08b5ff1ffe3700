"""The losses of a training step: cross-entropy with OHEM, Dice, auxiliary heads, distillation."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.data.sample import Dataset, subsample_evenly
from galago.errors import TrainingError
from galago.labels import IGNORE_ID, LabelSet
from galago.models.checkpoint import load_checkpoint
from galago.models.inference import normalize
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec
from galago.training.config import TrainConfig
from galago.training.distributed import all_reduce_sum
from galago.training.marginal_loss import SetTable, marginal_cross_entropy, single_class_labels

MAX_COUNTED_IMAGES = 500  # of a data set, for the frequencies of its classes


def total_loss(
    outputs: list[Tensor],
    labels: Tensor,
    config: TrainConfig,
    step: int,
    class_weights: Tensor | None = None,
    sets: SetTable | None = None,
) -> Tensor:
    """Return cross-entropy over sampled pixels, plus Dice, plus that of the auxiliary heads.

    Dice leaves out pixels whose label is a set of classes.

    Args:
        outputs: logits of the network, then of the auxiliary heads, (N, K, h, w) each.
        labels: (N, H, W) uint8, 255 = ignore.
        config: weights of the terms.
        step: of the run; chooses the pixels.
        class_weights: (K,) of the cross-entropy, or None.
        sets: the sets of classes that labels from K on stand for, or None.
    """
    rng = np.random.default_rng((config.seed, step))
    stride = config.loss_subsampling
    logits, target = sample_pixels(outputs[0], labels, stride, tuple(rng.integers(0, stride, 2)))
    loss = cross_entropy(
        logits, target, class_weights=class_weights, ohem_ratio=config.ohem_ratio, sets=sets
    )
    if sets is not None:
        target = single_class_labels(target, logits.shape[1])
    if config.dice_weight:
        loss = loss + config.dice_weight * dice_loss(logits, target)
    for auxiliary in outputs[1:]:  # coarse maps, so a quarter of the samples per axis is enough
        shift = tuple(rng.integers(0, 4 * stride, 2))
        logits, target = sample_pixels(auxiliary, labels, 4 * stride, shift)
        loss = loss + config.auxiliary_weight * cross_entropy(
            logits, target, class_weights=class_weights, sets=sets
        )
    return loss


def sample_pixels(
    logits: Tensor, labels: Tensor, stride: int, shift: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return labels at every `stride`-th pixel of every `stride`-th row, and the logits there.

    Because bilinear interpolation is linear and separable, these are exactly the values of
    `F.interpolate` to the labels' size at those pixels, at 1 / stride**2 of its cost; with a new
    random shift each step every pixel has its turn.

    Args:
        logits: (N, K, h, w) float32.
        labels: (N, H, W) uint8.
        stride: pixels from one sample to the next.
        shift: (row, column) of the first sample, each in [0, stride).
    Returns:
        (N, K, H', W') logits and (N, H', W') int64 labels.
    """
    rows = _interpolation_matrix(logits.shape[2], labels.shape[1], logits)[shift[0] :: stride]
    columns = _interpolation_matrix(logits.shape[3], labels.shape[2], logits)[shift[1] :: stride]
    return rows @ (logits @ columns.mT), labels[:, shift[0] :: stride, shift[1] :: stride].long()


def _interpolation_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """Return the (target, source) matrix of bilinear interpolation along one axis.

    Pixel centers are at half integers, as in `F.interpolate` with align_corners=False.
    """
    identity = torch.eye(source, device=like.device, dtype=like.dtype)[None]
    return F.interpolate(identity, size=target, mode="linear")[0].mT


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    ohem_ratio: float = 1.0,
    sets: SetTable | None = None,
) -> Tensor:
    """Return the mean cross-entropy over the labeled pixels of all processes, 0 if there are none.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64, 255 = ignore.
        class_weights: (K,) float32; default: all alike.
        ohem_ratio: share of each image's labeled pixels that count, those with the largest loss
            (OHEM, arXiv:1604.03540, per image).
        sets: the sets that labels from K on stand for; their loss is `marginal_cross_entropy`.
    """
    target = labels if sets is None else single_class_labels(labels, logits.shape[1])
    losses = F.cross_entropy(
        logits, target, weight=class_weights, ignore_index=IGNORE_ID, reduction="none"
    ).flatten(1)
    if sets is not None:
        class_weights = None if class_weights is None else sets.weights(class_weights)
        marginal = marginal_cross_entropy(logits, labels, sets, weights=class_weights)
        losses = losses + marginal.flatten(1)
    counted = (labels != IGNORE_ID).flatten(1)
    if ohem_ratio < 1:
        counted = counted & ohem_mask(losses.detach(), counted, ohem_ratio)
    if class_weights is None:
        weights = counted.float()
    else:
        weights = class_weights[labels.where(labels != IGNORE_ID, 0)].flatten(1) * counted
    return all_reduce_sum((losses * counted).sum()) / all_reduce_sum(weights.sum()).clamp(min=1e-6)


def ohem_mask(losses: Tensor, counted: Tensor, ratio: float) -> Tensor:
    """Return which pixels are among the given share with the largest loss in their image.

    Args:
        losses: (N, H W) float32.
        counted: (N, H W) bool, the pixels to choose from.
        ratio: share of them, above 0, up to 1.
    Returns:
        (N, H W) bool.
    """
    ranked = losses.masked_fill(~counted, -1).sort(1, descending=True).values
    kept = (counted.sum(1, keepdim=True) * ratio).ceil().long().clamp(min=1)
    return losses >= ranked.gather(1, kept - 1)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 minus the mean soft Dice coefficient over the classes in the batch of all processes.

    Milletari et al., arXiv:1606.04797, equation 4.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64, 255 = ignore.
    """
    scores = logits.softmax(1) * (labels != IGNORE_ID)[:, None]
    one_hot = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)[:, None, None]
    axes = (0, 2, 3)
    intersection = all_reduce_sum((scores * one_hot).sum(axes))
    predicted = all_reduce_sum(scores.sum(axes))
    labeled = all_reduce_sum(one_hot.sum(axes))
    present = labeled > 0
    losses = 1 - (2 * intersection + 1) / (predicted + labeled + 1)
    return (present * losses).sum() / present.sum().clamp(min=1)


class AuxiliaryHeads(nn.Module):
    """Classifiers on the last two stages, which pass the labels' gradient to them directly.

    They are dropped after training.
    """

    def __init__(self, widths: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.classify = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in widths[-2:])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map the backbone's features to two sets of logits, at strides 16 and 32."""
        return [
            classify(feature)
            for classify, feature in zip(self.classify, features[-2:], strict=True)
        ]


class Teacher:
    """A trained network with frozen weights; it sees the same augmented images as its student."""

    def __init__(self, checkpoint: Path, label_set: LabelSet, device: torch.device) -> None:
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
        num_classes = int(metadata["num_classes"])
        if num_classes != len(label_set) or (names and names != label_set.names):
            raise TrainingError(
                f"The teacher {checkpoint} labels "
                f"{', '.join(names) if names else f'{num_classes} classes'}; "
                f"the images have {', '.join(label_set.names)}. Choose a teacher trained on the "
                "same "
                "classes."
            )
        self.network = network.eval().requires_grad_(False).to(device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) uint8 to logits (N, K, H / 8, W / 8)."""
        pixels = normalize(images, self.mean, self.std)
        logits: Tensor = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return logits


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return the distance of softened class probabilities from the teacher's, per pixel.

    It is the mean Kullback-Leibler divergence times the temperature squared: Hinton et al.,
    arXiv:1503.02531, section 2.

    Args:
        logits, teacher_logits: (N, K, h, w) of student and teacher.
        temperature: divides both.
    """
    student = (logits.float() / temperature).log_softmax(1)
    teacher = (teacher_logits.float() / temperature).log_softmax(1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
    pixels = all_reduce_sum(divergence.new_tensor(float(divergence.numel())))
    return temperature**2 * all_reduce_sum(divergence.sum()) / pixels


def class_weights(dataset: Dataset, power: float) -> Tensor | None:
    """Return (median frequency / frequency) ** power of each class, (K,) float32; None for power 0.

    The frequencies are those of Eigen and Fergus, arXiv:1411.4734, section 4.3.2, over at most
    `MAX_COUNTED_IMAGES` images; an absent class gets 1. Pixels whose label names several classes
    are divided equally among these.
    """
    if power == 0:
        return None
    counts = np.zeros(len(dataset.label_set))
    samples = subsample_evenly(dataset, MAX_COUNTED_IMAGES)
    for index in range(len(samples)):
        pixels = np.bincount(samples[index].labels.ravel(), minlength=IGNORE_ID + 1)
        counts += pixels[: len(counts)]
        for class_set, shared in zip(dataset.label_set.sets, pixels[len(counts) :], strict=False):
            counts[list(class_set.classes)] += shared / len(class_set.classes)
    present = counts > 0
    weights = np.ones(len(counts), np.float32)
    weights[present] = (np.median(counts[present]) / counts[present]) ** power
    return torch.from_numpy(weights)
