"""Distillation: a network learns from the answers of a larger one beside the labels."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.errors import TrainingError
from galago.labels import LabelSet
from galago.models.checkpoint import load_checkpoint
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec
from galago.training.processes import sum_over_processes
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
                f"The teacher {checkpoint} labels {', '.join(names) if names else f'{classes} classes'}; "
                f"the photos have {', '.join(labels.names)}. Choose a teacher trained on the same classes."
            )
        self.network = network.eval().requires_grad_(False).to(device)
        self.widths = network.backbone.config.widths[-STAGES:]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map (N, 3, H, W) uint8 to logits (N, K, H / 8, W / 8) and the maps of the last stages."""
        features = self.network.backbone(normalize(images, self.mean, self.std).contiguous(memory_format=torch.channels_last))
        return self.network.head(features), features[-STAGES:]


class Projections(nn.Module):
    """1x1 convolutions from the student's channels to the teacher's; dropped after training."""

    def __init__(self, widths: Sequence[int], teacher_widths: Sequence[int]) -> None:
        super().__init__()
        pairs = zip(widths[-STAGES:], teacher_widths, strict=True)
        self.projections = nn.ModuleList(nn.Conv2d(own, other, 1, bias=False) for own, other in pairs)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map the backbone's maps to those that the teacher's are compared with."""
        return [project(feature) for project, feature in zip(self.projections, features[-STAGES:], strict=True)]


def logit_distance(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Return the mean Kullback-Leibler divergence of softened class probabilities, times the temperature squared.

    Hinton et al., arXiv:1503.02531, section 2, for each pixel.

    Args:
        logits, target: (N, K, h, w) of student and teacher.
        temperature: divides both.
    """
    student, teacher = ((x.float() / temperature).log_softmax(1) for x in (logits, target))
    distance = F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
    return temperature**2 * _mean_over_processes(distance)


def feature_distance(features: list[Tensor], targets: list[Tensor]) -> Tensor:
    """Return 1 minus the mean Pearson correlation of each channel with the teacher's; Cao et al., arXiv:2207.02039, equation 5.

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
    return sum_over_processes(values.sum()) / sum_over_processes(values.new_tensor(float(values.numel())))
