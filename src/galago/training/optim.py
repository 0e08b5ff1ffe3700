"""The optimizer and the schedule of its learning rate."""

import math
import re

import torch
from torch import nn

from galago.training.config import Config

NUM_STAGES = 5  # of every backbone


def make_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return AdamW with weight decay on convolution weights only.

    Each group's `lr_scale` is a factor of the learning rate.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((decay, lr_scale(name, config.layer_decay)), []).append(parameter)
    settings = [
        {"params": parameters, "weight_decay": decay, "lr_scale": scale}
        for (decay, scale), parameters in groups.items()
    ]
    return torch.optim.AdamW(
        settings, lr=config.peak_learning_rate, fused=torch.cuda.is_available() or None
    )


def lr_scale(name: str, layer_decay: float) -> float:
    """Return layer_decay ** (stages from here to the head) for a parameter of the backbone, else 1.

    Layer-wise learning rate decay by stage, after Clark et al., arXiv:2003.10555, appendix A: early
    layers change less in fine-tuning.
    """
    stage = re.search(r"backbone\.stages\.(\d+)\.", name)
    return layer_decay ** (NUM_STAGES - int(stage[1])) if stage else 1.0


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of a step."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def learning_rate(config: Config, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate at a step: linear warm-up, then half a cosine down to zero."""
    total = config.epochs * steps_per_epoch
    warmup = min(config.warmup_epochs * steps_per_epoch, total / 2)
    if step < warmup:
        return config.peak_learning_rate * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - warmup)
    return config.peak_learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
