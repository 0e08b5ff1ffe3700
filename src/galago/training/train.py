"""The training loop: every step visible, in order."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from galago.data.resized import ResizedDataset
from galago.data.sample import Dataset, check_learnable
from galago.errors import TrainingError
from galago.models.inference import normalize
from galago.training.bad_batch import save_bad_batch
from galago.training.checkpointer import SegmentationCheckpointer
from galago.training.config import Config, TrainConfig
from galago.training.data import AugmentedSamples, Batch, explain_dead_workers, iterate
from galago.training.data_fingerprint import AnyDataset, fingerprint
from galago.training.distributed import broadcast_from_rank0, run_on_rank0
from galago.training.history import SCORES, History, is_out_of_patience
from galago.training.losses import Teacher, class_weights, distillation_loss, total_loss
from galago.training.marginal_loss import SetTable
from galago.training.model import TrainingModel, start_network
from galago.training.optim import learning_rate, set_lr
from galago.training.preflight import check_labeled, check_readable
from galago.training.resume import find_starting_point, load_state, save_state
from galago.training.run_dir import describe_run, lock_run_dir, write_description
from galago.training.train_state import TrainState, make_accelerator, make_train_state

OnProgress = Callable[[dict[str, float]], None]
ForwardBackward = Callable[[Tensor, Tensor, int], float]  # images, labels, step of the run -> loss


@dataclass(frozen=True)
class Objective:
    """What the loss needs besides the batch.

    Attributes:
        class_weights: (K,) of the cross-entropy, or None.
        sets: sets of classes that labels stand for, or None.
        teacher: for distillation, or None.
    """

    class_weights: Tensor | None
    sets: SetTable | None
    teacher: Teacher | None


class Checkpointer(Protocol):
    """Validates, and writes what a run leaves behind."""

    def __call__(self, history: History, *, validates: bool) -> None:
        """Write the newest epoch and, if it is validated, add its scores to the history."""

    def close(self) -> None:
        """Close all files."""


@explain_dead_workers()
def train(
    config: TrainConfig,
    train_set: Dataset,
    val_set: Dataset,
    out: Path,
    *,
    extra_data: Dataset | None = None,
    extra_val_sets: Mapping[str, Dataset] | None = None,
    teacher: Path | None = None,
    weights: Path | None = None,
    resume: bool = False,
    description: str = "not described",
    on_progress: OnProgress = lambda row: None,
) -> History:
    """Train a segmentation network, and save the moving average of its weights.

    With several processes each calls this, and the main process writes.

    Args:
        config: the settings.
        train_set, val_set: labeled images with the same classes; the second decides which weights
            `best.safetensors` holds.
        out: folder of the run; gets best.safetensors, last.safetensors, metrics.csv, run.json,
            panel.jpg, report.html and state/.
        extra_data: data set of the same classes for a share of `config.extra_data_ratio` of the
            samples.
        extra_val_sets: further validation sets of the same classes, by name; `config.best_by` says
            whether they decide, too.
        teacher: checkpoint of a network of the same classes, for distillation.
        weights: a checkpoint to start from, or None for random weights.
        resume: whether to resume the run in `out`.
        description: the data in words, for run.json and the model's card.
        on_progress: called after each step with `epoch`, `step`, `steps`, `loss`, `lr`,
            `images_per_s` and `data_wait`, after each validation with `epoch`, `loss` and
            `mean_iou`, and by `preflight.check_readable`.
    Returns:
        epochs completed, best mean IoU, and the rows of metrics.csv.
    Raises:
        DataError, ImageError: a sample cannot be read; those of `val_set` are read before the first
            epoch.
        TrainingError: classes differ, too few images, a loss that is not finite, `out` holds
            another run, there is nothing to resume or only under other settings, a data-loader
            worker was killed, or a file cannot be written.
    """
    check_classes(train_set, val_set, extra_data)
    val_sets = dict(extra_val_sets or {})
    datasets: dict[str, AnyDataset | None] = {
        "training": train_set,
        "validation": val_set,
        "extra": extra_data,
        **val_sets,
    }
    with lock_run_dir(out):
        start = find_starting_point(
            out,
            config,
            weights=weights,
            resume=resume,
            make_fingerprint=lambda: fingerprint(datasets, {"teacher": teacher}),
        )

        def check_samples() -> None:
            threads = max(1, config.workers)
            if teacher is None:  # a teacher labels images without labels
                check_labeled(train_set, threads=threads)
            for dataset in (val_set, *val_sets.values()):
                check_readable(dataset, threads=threads, on_progress=on_progress)

        run_on_rank0(check_samples)
        if config.short_side:
            train_set = ResizedDataset(train_set, config.short_side)
            extra_data = extra_data and ResizedDataset(extra_data, config.short_side)
        samples = AugmentedSamples(train_set, config, extra_data)
        state, objective = build_state(
            config, samples, out=out, teacher_file=teacher, weights=start.weights
        )
        state.fingerprint = start.fingerprint
        if start.saved:
            load_state(state, start.saved)
        else:
            run = describe_run(
                config,
                data=description,
                train_images=len(train_set),
                val_images=len(val_set),
                weights=weights,
                teacher=teacher,
            )
            run_on_rank0(lambda: write_description(out, run))
        start.saved = None  # its tensors are no longer needed
        checkpointer = None
        if state.accelerator.is_main_process:
            checkpointer = SegmentationCheckpointer(config, state, val_set, val_sets)
        step = partial(forward_backward, config, state, objective)
        return run_epochs(config, state, step, checkpointer, on_progress)


def check_classes(train_set: Dataset, val_set: Dataset, extra_data: Dataset | None) -> None:
    """Refuse data sets of different classes, or without a class to learn.

    Raises:
        TrainingError: the classes differ.
        DataError: there are too few.
    """
    if train_set.label_set.names != val_set.label_set.names:
        raise TrainingError(
            f"The splits have different classes: {train_set.label_set.names} and "
            f"{val_set.label_set.names}."
        )
    check_learnable(train_set.label_set)
    if extra_data is None:
        return
    if extra_data.label_set.names != train_set.label_set.names:
        raise TrainingError(
            f"The extra data has different classes: {extra_data.label_set.names}, not "
            f"{train_set.label_set.names}."
        )
    if extra_data.label_set.sets != train_set.label_set.sets:
        raise TrainingError(
            "The extra data has labels for other sets of classes. Bring them together: "
            "galago.data.mixture.mix."
        )


def build_state(
    config: TrainConfig,
    samples: AugmentedSamples,
    *,
    out: Path,
    teacher_file: Path | None,
    weights: Path | None,
) -> tuple[TrainState, Objective]:
    """Return the state of a run that has not begun, and what its loss needs.

    Raises:
        CheckpointError, TrainingError: as `train`.
    """
    accelerator = make_accelerator(config)
    device, labels = accelerator.device, samples.dataset.label_set
    teacher = Teacher(teacher_file, labels, device) if teacher_file else None
    network = start_network(config, len(labels), weights, names=labels.names)
    model: nn.Module = TrainingModel(network, len(labels), config)
    if accelerator.num_processes == 1:  # DistributedDataParallel's buckets are contiguous
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    state = make_train_state(
        config, accelerator, model=model, network=network, samples=samples, out=out
    )
    balance = class_weights(samples.dataset, config.class_balance)
    objective = Objective(
        class_weights=None if balance is None else balance.to(device),
        sets=SetTable.of(labels, device, config.hidden_weight),
        teacher=teacher,
    )
    return state, objective


def run_epochs(
    config: Config,
    state: TrainState,
    forward_backward: ForwardBackward,
    checkpointer: Checkpointer | None,
    on_progress: OnProgress,
) -> History:
    """Train from where a run stands to its end.

    Args:
        config: the settings.
        state: of the run.
        forward_backward: computes loss and gradients of a batch.
        checkpointer: of the main process; None in the others.
        on_progress: as in `train`.
    Raises:
        GalagoError: as `train`.
    """
    history = state.history
    state.sampler.epoch = history.epoch
    if is_out_of_patience(config.patience, history.rows):
        return history
    with closing(iterate(state.loader)) as stream:
        while history.epoch < config.epochs:
            on_step = on_progress if checkpointer else lambda row: None
            row = run_epoch(config, state, stream, forward_backward, on_step)
            history.epoch += 1
            history.rows.append(row)
            last = history.epoch == config.epochs
            validates = last or history.epoch % config.validate_every == 0
            if checkpointer:
                checkpointer(history, validates=validates)
            if checkpointer and validates:
                scores = [name for name in row if name.startswith(SCORES)]
                on_progress({name: row[name] for name in ("epoch", "loss", *scores)})
            if validates and config.patience:
                last |= broadcast_from_rank0(is_out_of_patience(config.patience, history.rows))
            if last or history.epoch % config.save_every == 0:
                save_state(state)
            if last:
                break
    if checkpointer:
        checkpointer.close()
    return history


def run_epoch(
    config: Config,
    state: TrainState,
    stream: Iterator[Batch],
    forward_backward: ForwardBackward,
    on_step: OnProgress,
) -> dict[str, float]:
    """Train on the next batches of the stream, one pass over the images.

    Returns:
        epoch, mean loss, last learning rate, images per second of all processes together, and the
        share of the time in which this process waited for images.

    Raises:
        TrainingError: the loss is not finite; the batch is saved.
    """
    accelerator, optimizer = state.accelerator, state.optimizer
    epoch, steps = state.history.epoch, state.sampler.steps
    state.model.train()
    start, waited, losses = time.monotonic(), 0.0, 0.0
    for index in range(steps):
        asked = time.monotonic()
        batch = next(stream)  # (N, 3, H, W) uint8, (N, H, W) uint8
        waited += time.monotonic() - asked
        images, labels = (tensor.to(accelerator.device, non_blocking=True) for tensor in batch)
        step = epoch * steps + index
        lr = learning_rate(config, step, steps)
        set_lr(optimizer, lr)
        optimizer.zero_grad()
        loss = forward_backward(images, labels, step)
        if not math.isfinite(loss):
            raise save_bad_batch(state, batch, loss, index)
        accelerator.clip_grad_norm_(state.model.parameters(), config.max_grad_norm)
        optimizer.step()
        state.ema.update_parameters(state.network)
        losses += loss
        elapsed = time.monotonic() - start
        row = {
            "epoch": epoch + 1,
            "loss": losses / (index + 1),
            "lr": lr,
            "images_per_s": (index + 1) * config.batch_size / elapsed,
            "data_wait": waited / elapsed,
        }
        on_step(row | {"step": index + 1, "steps": steps})
    return row


def forward_backward(
    config: TrainConfig,
    state: TrainState,
    objective: Objective,
    images: Tensor,
    labels: Tensor,
    step: int,
) -> float:
    """Add up the gradients of a batch, in `grad_accum_steps` pieces, and return its loss.

    Args:
        config: pieces, weights of the losses.
        state: of the run.
        objective: class weights, sets of classes, teacher.
        images: (N, 3, H, W) uint8.
        labels: (N, H, W) uint8, 255 = ignore.
        step: number of the batch in the run.
    """
    accelerator, total = state.accelerator, 0.0
    pieces = zip(
        images.chunk(config.grad_accum_steps), labels.chunk(config.grad_accum_steps), strict=True
    )
    for number, (pixels, target) in enumerate(pieces, start=1):
        last = number == config.grad_accum_steps
        # processes exchange gradients once per batch
        with nullcontext() if last else accelerator.no_sync(state.model):
            normalized = normalize(pixels, config.mean, config.std)
            outputs = state.model(normalized.contiguous(memory_format=torch.channels_last))
            loss = total_loss(
                outputs, target, config, step, objective.class_weights, objective.sets
            )
            if objective.teacher:
                with accelerator.autocast():
                    teacher_logits = objective.teacher(pixels)
                distance = distillation_loss(outputs[0], teacher_logits, config.temperature)
                loss = loss + config.distill_weight * distance
            loss = loss / config.grad_accum_steps
            accelerator.backward(loss)
        total += loss.item()
    return total
