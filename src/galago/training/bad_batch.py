"""A batch whose loss is not a finite number: it is kept, so that one can look at what the network
saw.
"""

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from galago._core.atomic_io import write_whole
from galago.errors import TrainingError
from galago.training.data import AugmentedSamples

if TYPE_CHECKING:
    from galago.training.train_state import TrainState

MAX_SANE_WEIGHT = 1000.0  # trained weights stay far below


def stop_at_bad_batch(
    parts: "TrainState", batch: tuple[Tensor, Tensor], loss: float, step: int
) -> TrainingError:
    """Save this process's part of a batch and return the error that ends the run.

    The file holds `images` (N, 3, H, W) uint8, `labels` (N, H, W) uint8, `views` (N, 2) int64, each
    the epoch and the index that the view was drawn from, `names` of the photos in them, and `epoch`
    and `step`, which count from 1.

    Args:
        parts: the run.
        batch: images (N, 3, H, W) uint8 and labels (N, H, W) uint8.
        loss: what became of it.
        step: number of the batch in its epoch, from 0.
    """
    number, processes = parts.shuffle.part
    path = parts.out / ("bad_batch.npz" if processes == 1 else f"bad_batch_{number}.npz")
    epoch = parts.progress.epoch
    views = parts.shuffle.views(epoch, step)
    source = parts.loader.dataset
    assert isinstance(source, AugmentedSamples)
    content = io.BytesIO()
    images, labels = (tensor.numpy(force=True) for tensor in batch)
    np.savez_compressed(
        content, images=images, labels=labels, views=np.array(views), names=np.array([source.describe(view) for view in views]),
        epoch=epoch + 1, step=step + 1,
    )  # fmt: skip
    said = f"The loss became {loss} in epoch {epoch + 1}, step {step + 1}. "
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        said += f"The batch could not be saved as {path}: {error.strerror or error}. "
    else:
        said += f"The batch is saved as {path}: images, labels, names. "
    largest = largest_weight(parts.learner)
    if largest <= MAX_SANE_WEIGHT:
        said += (
            f"The weights look sound (the largest is {largest:.3g}), so look at the batch first. "
        )
    else:
        said += f"The weights went astray before it (the largest is {largest:.3g}). "
    return TrainingError(
        said + "Start another run with a lower peak_learning_rate, or with another recipe."
    )


def largest_weight(network: nn.Module) -> float:
    """Return the largest absolute value among the parameters of a network; nan if there is one."""
    return float(
        torch.stack(
            [parameter.detach().abs().max().float() for parameter in network.parameters()]
        ).max()
    )
