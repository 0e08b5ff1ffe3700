"""A batch whose loss is not finite: it is saved, so that one can look at what the network saw."""

import io

import numpy as np
import torch
from torch import nn

from galago._core.atomic_io import write_whole
from galago.errors import TrainingError
from galago.training.data import Batch
from galago.training.train_state import TrainState

MAX_SANE_WEIGHT = 1000.0  # trained weights stay far below


def save_bad_batch(state: TrainState, batch: Batch, loss: float, step: int) -> TrainingError:
    """Save this process's part of a batch, and return the error that ends the run.

    The file holds `images` (N, 3, H, W) uint8, `labels` (N, H, W) uint8, `keys` (N, 2) int64, each
    the epoch and the index that a sample was drawn from, the `names` of its images, and `epoch` and
    `step`, which count from 1.

    Args:
        state: of the run.
        batch: images (N, 3, H, W) uint8 and labels (N, H, W) uint8.
        loss: of the batch.
        step: number of the batch in its epoch, from 0.
    """
    sampler, epoch = state.sampler, state.history.epoch
    suffix = "" if sampler.world_size == 1 else f"_{sampler.rank}"
    path = state.out / f"bad_batch{suffix}.npz"
    keys = sampler.batch(epoch, step)
    content = io.BytesIO()
    images, labels = batch
    np.savez_compressed(
        content,
        images=images.numpy(force=True),
        labels=labels.numpy(force=True),
        keys=np.array(keys),
        names=np.array([state.samples.describe(key) for key in keys]),
        epoch=epoch + 1,
        step=step + 1,
    )
    message = f"The loss became {loss} in epoch {epoch + 1}, step {step + 1}. "
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        message += f"The batch could not be saved as {path}: {error.strerror or error}. "
    else:
        message += f"The batch is saved as {path}: images, labels, names. "
    largest = largest_weight(state.model)
    if largest <= MAX_SANE_WEIGHT:
        message += f"The weights look sound (the largest is {largest:.3g}), so check the batch. "
    else:
        message += (
            f"The weights had diverged before it (the largest is {largest:.3g}), so the data is "
            "probably fine. "
        )
    return TrainingError(
        message + "Start another run with a lower peak_learning_rate, or with another recipe."
    )


def largest_weight(model: nn.Module) -> float:
    """Return the largest absolute value of a model's parameters; nan if one of them is nan."""
    largest = [parameter.detach().abs().max().float() for parameter in model.parameters()]
    return float(torch.stack(largest).max())
