"""The state of a run: the model and everything else that a step reads or changes."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from galago.errors import TrainingError
from galago.training._compat import cpu_has_bfloat16, reset_accelerator_state
from galago.training.config import Config, TrainConfig
from galago.training.cpu import optimize_for_cpu
from galago.training.data import AugmentedDataset, Batch, BatchSampler, make_loader
from galago.training.distributed import convert_sync_batchnorm, distributed_state
from galago.training.history import History
from galago.training.model import make_ema
from galago.training.optim import make_optimizer


@dataclass
class TrainState:
    """The model and everything else that a step reads or changes.

    Attributes:
        accelerator: places tensors, computes gradients, holds the gradient scaler, if any.
        model: what is trained, as the accelerator prepared it.
        network: the part of it that is kept after training, not wrapped.
        optimizer: of all parameters of the model.
        ema: exponential moving average of the network.
        samples: augmented training data.
        sampler: order of the batches; set its `epoch` before the loader is read.
        loader: batches of this process.
        out: folder of the run.
        history: epochs completed, best score, rows of metrics.csv.
        fingerprint: of the data, by `data_fingerprint`; empty but in the main process.
    """

    accelerator: Accelerator
    model: nn.Module
    network: nn.Module
    optimizer: torch.optim.Optimizer
    ema: AveragedModel
    samples: AugmentedDataset
    sampler: BatchSampler
    loader: DataLoader[Batch]
    out: Path
    history: History = dataclasses.field(default_factory=History)
    fingerprint: dict[str, Any] = dataclasses.field(default_factory=dict)


def make_accelerator(config: Config) -> Accelerator:
    """Return the accelerator of a run, and seed torch.

    Raises:
        TrainingError: the device cannot train in the precision of the settings.
    """
    torch.manual_seed(config.seed)
    reset_accelerator_state()
    device = distributed_state().device
    return Accelerator(
        mixed_precision=mixed_precision(config.precision, device), cpu=device.type == "cpu"
    )


def make_train_state(
    config: Config,
    accelerator: Accelerator,
    *,
    model: nn.Module,
    network: nn.Module,
    samples: AugmentedDataset,
    out: Path,
) -> TrainState:
    """Return the state of a run that has not begun.

    Args:
        config: the settings.
        accelerator: of the run.
        model: what is trained; it is changed in place.
        network: the part of the model that is averaged and kept, or the model itself.
        samples: augmented training data.
        out: folder of the run.
    Raises:
        TrainingError: the data has fewer images than a batch, or the processes cannot share one.
    """
    world_size, device = accelerator.num_processes, accelerator.device
    compiled = isinstance(config, TrainConfig) and config.compile
    sampler = BatchSampler(
        len(samples),
        config.batch_size,
        seed=config.seed,
        epochs=config.epochs,
        rank=accelerator.process_index,
        world_size=world_size,
    )
    model = convert_sync_batchnorm(model, world_size, device)
    if device.type == "cpu" and not compiled:
        optimize_for_cpu(model)
    ema = make_ema(network, config.ema_decay).to(device)
    if compiled:
        model.compile()
    model, optimizer = accelerator.prepare(model, make_optimizer(model, config))
    return TrainState(
        accelerator=accelerator,
        model=model,
        network=network,
        optimizer=optimizer,
        ema=ema,
        samples=samples,
        sampler=sampler,
        loader=make_loader(samples, sampler, config),
        out=out,
    )


def mixed_precision(precision: str, device: torch.device) -> str:
    """Return accelerate's word for a precision; `auto` is bfloat16 where the device computes it.

    Raises:
        TrainingError: float16 on a device other than a GPU.
    """
    if precision == "float16" and device.type == "cpu":
        raise TrainingError(
            "float16 trains on GPUs only. Use --set precision=bfloat16 or float32 on a CPU."
        )
    if precision != "auto":
        return {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[precision]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if cpu_has_bfloat16() else "no"
