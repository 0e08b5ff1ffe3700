"""What a run consists of while it goes on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from galago.training.data import BatchSampler
from galago.training.losses import Teacher
from galago.training.run_dir import Progress
from galago.training.sets import SetTable


@dataclass
class TrainState:
    """What a run consists of.

    Attributes:
        accelerator: places tensors, computes gradients, saves and loads the state.
        learner: network and auxiliary heads, as the accelerator prepared them.
        optimizer: of all their parameters.
        average: moving average of the network.
        loader: batches of this process.
        shuffle: their order; its `epoch` has to be set before the loader is read.
        class_weights: (K,) of the cross-entropy, or None.
        sets: what labels stand for that name several classes, or None where there are none.
        teacher: from whom the network learns, or None.
        progress: epochs, best score, rows of metrics.csv.
        out: folder of the run.
    """

    accelerator: Accelerator
    learner: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel
    loader: DataLoader[tuple[Tensor, Tensor]]
    shuffle: BatchSampler
    class_weights: Tensor | None
    sets: SetTable | None
    teacher: Teacher | None
    progress: Progress
    out: Path
