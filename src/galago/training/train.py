"""The training loop: every step visible, in order."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from galago.data.resized import ResizedDataset
from galago.data.sample import Dataset, check_learnable
from galago.errors import TrainingError
from galago.evaluation.evaluate import evaluate
from galago.evaluation.metrics import Scores
from galago.models.checkpoint import save_checkpoint
from galago.spec import ModelSpec
from galago.training import run_dir as run
from galago.training.bad_batch import stop_at_bad_batch
from galago.training.begin import Beginning
from galago.training.config import TrainConfig
from galago.training.cpu import optimize_for_cpu
from galago.training.data import batches, make_loader
from galago.training.distributed import (
    broadcast_from_rank0,
    convert_sync_batchnorm,
    join,
    let_first_process,
)
from galago.training.early_stopping import is_out_of_patience
from galago.training.fingerprint import Part, fingerprint
from galago.training.hold import hold
from galago.training.losses import Teacher, class_weights, distillation_loss, total_loss
from galago.training.model import TrainingModel, ema, start_network
from galago.training.optim import learning_rate, make_optimizer, set_lr
from galago.training.preflight import check_labeled, check_readable
from galago.training.report import PAGE, draw_page
from galago.training.run_dir import Progress
from galago.training.sample_grid import write_panel
from galago.training.sets import SetTable
from galago.training.state import Changing, save_state
from galago.training.tensorboard import Board
from galago.training.train_state import TrainState
from galago.training.validate import make_predict, normalize
from galago.training.workers import explain_lost_workers

Report = Callable[[dict[str, float]], None]


@explain_lost_workers()
def train(
    config: TrainConfig,
    train_set: Dataset,
    val_set: Dataset,
    out: Path,
    *,
    mixed_in: Dataset | None = None,
    teacher: Path | None = None,
    start: tuple[Path | None, bool] = (None, False),
    also_score: Mapping[str, Dataset] | None = None,
    data: str = "not described",
    report: Report = lambda row: None,
) -> Progress:
    """Train a network and keep its moving average.

    In several processes, each of which calls this, the first one writes.

    Args:
        config: how to train.
        train_set, val_set: labeled photos with the same classes; the second decides which weights
            `best` holds.
        out: folder of the run; gets best.safetensors, last.safetensors, metrics.csv, run.json,
            panel.jpg, report.html and state/.
        mixed_in: what a share of `config.mix` of the views is drawn from; the same classes.
        teacher: checkpoint of a network of the same classes, from whose answers this one learns,
            too.
        start: a checkpoint to begin from, or None for random weights; and whether to go on from
            out/state instead.
        also_score: further validation sets by name, of the same classes; `config.best_by` says
            whether they decide, too.
        data: what the photos are, in words, for run.json and the model's card.
        report: called after each step with `epoch`, `step`, `steps`, `loss`, `rate`, `images_per_s`
            and `waited`, after each validation with `epoch`, `loss` and `mean_iou`, and as
            `readable.check_readable` does where that takes long.
    Returns:
        epochs completed, best mean IoU, and the rows of metrics.csv.
    Raises:
        DataError, ImageError: a sample cannot be read; those of `val_set` are read before the first
            epoch.
        TrainingError: classes differ, too few photos, a loss that is not finite, `out` holds
            another run, there is nothing to resume or only under other settings, a process that
            reads photos was killed, or a file cannot be written.
    """
    if train_set.labels.names != val_set.labels.names:
        raise TrainingError(
            f"The splits have different classes: {train_set.labels.names} and "
            f"{val_set.labels.names}."
        )
    if mixed_in and mixed_in.labels.names != train_set.labels.names:
        raise TrainingError(
            f"What is mixed in has different classes: {mixed_in.labels.names}, not "
            f"{train_set.labels.names}."
        )
    check_learnable(train_set.labels)
    if mixed_in and mixed_in.labels.sets != train_set.labels.sets:
        raise TrainingError(
            "What is mixed in has labels for other sets of classes. Bring them together: "
            "galago.data.mixture.mix."
        )
    also = dict(also_score or {})
    sets: dict[str, Part | None] = {
        "training": train_set,
        "validation": val_set,
        "mixed-in": mixed_in,
        **also,
    }
    if config.short_side:
        also = {name: ResizedDataset(dataset, config.short_side) for name, dataset in also.items()}
        train_set, val_set = (
            ResizedDataset(train_set, config.short_side),
            ResizedDataset(val_set, config.short_side),
        )
        mixed_in = mixed_in and ResizedDataset(mixed_in, config.short_side)
    with hold(out):
        begin = Beginning(out, config, start, lambda: fingerprint(sets, {"teacher": teacher}))

        def look() -> None:
            if teacher is None:  # its answers count where nothing is labeled
                check_labeled(train_set, threads=max(1, config.workers))
            for dataset in (val_set, *also.values()):
                check_readable(dataset, threads=max(1, config.workers), report=report)

        let_first_process(look)
        parts = build_state(
            config,
            train_set,
            out=out,
            mixed_in=mixed_in,
            teacher_file=teacher,
            weights=begin.weights,
        )
        photos = len(train_set), len(val_set)
        changing = Changing(
            parts.accelerator,
            parts.learner,
            parts.optimizer,
            parts.average,
            parts.progress,
            begin.data,
        )
        begin(
            changing,
            lambda: run.describe_run(
                config, data=data, photos=photos, weights=begin.weights, teacher=teacher
            ),
        )
        return run_epochs(config, parts, changing, val_set, also, report)


def run_epochs(
    config: TrainConfig,
    parts: TrainState,
    changing: Changing,
    val_set: Dataset,
    also: Mapping[str, Dataset],
    report: Report,
) -> Progress:
    """Train from where a run stands to its end.

    Raises:
        GalagoError: as `train`.
    """
    main, progress = parts.accelerator.is_main_process, parts.progress
    parts.shuffle.epoch = progress.epoch
    keep = Checkpointer(config, val_set, parts, also) if main else None
    ended = is_out_of_patience(config, progress.rows)
    with closing(batches(parts.loader)) as stream:
        for _ in () if ended else range(progress.epoch, config.epochs):
            row = run_epoch(config, parts, stream, report if main else lambda row: None)
            progress.epoch += 1
            progress.rows.append(row)
            last = progress.epoch == config.epochs
            validates = last or progress.epoch % config.validate_every == 0
            if keep:
                keep(progress, validates=validates)
                if validates:
                    report(
                        {
                            name: row[name]
                            for name in row
                            if name in ("epoch", "loss") or name.startswith("mean_iou")
                        }
                    )
            if validates and config.patience:
                last |= broadcast_from_rank0(is_out_of_patience(config, progress.rows))
            if last or progress.epoch % config.save_every == 0:
                save_state(changing, parts.out)
            if last:
                break
    if keep and keep.board:
        keep.board.close()
    return progress


def build_state(
    config: TrainConfig,
    train_set: Dataset,
    *,
    out: Path,
    mixed_in: Dataset | None,
    teacher_file: Path | None,
    weights: Path | None,
) -> TrainState:
    """Build a run that has not begun.

    Raises:
        CheckpointError, TrainingError: as `train`.
    """
    torch.manual_seed(config.seed)
    # of an earlier run in this process, which may have had another precision
    AcceleratorState._reset_state()
    device = join().device
    accelerator = Accelerator(
        mixed_precision=mixed_precision(config.precision, device), cpu=device.type == "cpu"
    )
    num_classes, processes = len(train_set.labels), accelerator.num_processes
    teacher = Teacher(teacher_file, train_set.labels, accelerator.device) if teacher_file else None
    widths = teacher.widths if teacher else None
    network = start_network(config, num_classes, weights, names=train_set.labels.names)
    learner: nn.Module = TrainingModel(network, num_classes, config, widths)
    learner = convert_sync_batchnorm(learner, processes, accelerator.device)
    if accelerator.device.type == "cpu" and not config.compile:
        optimize_for_cpu(learner)
    if processes == 1:  # DistributedDataParallel's buckets are contiguous
        learner = learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    average = ema(learner.network, config.ema_decay).to(accelerator.device)  # type: ignore[arg-type]
    loader, shuffle = make_loader(
        train_set, config, (accelerator.process_index, processes), mixed_in=mixed_in
    )
    balance = class_weights(train_set, config.class_balance)
    balance, progress = None if balance is None else balance.to(accelerator.device), Progress()
    if config.compile:
        learner.compile()
    learner, optimizer = accelerator.prepare(learner, make_optimizer(learner, config))
    sets = SetTable.of(train_set.labels, accelerator.device, config.hidden_weight)
    return TrainState(
        accelerator,
        learner,
        optimizer,
        average,
        loader,
        shuffle,
        balance,
        sets,
        teacher,
        progress,
        out,
    )


def run_epoch(
    config: TrainConfig, parts: TrainState, stream: Iterator[tuple[Tensor, Tensor]], report: Report
) -> dict[str, float]:
    """Pass over the photos once, with the next batches of the stream.

    Returns:
        epoch, mean loss, last rate, photos per second of all processes together, and the share of
        the time in which this process waited for photos.

    Raises:
        TrainingError: the loss is not finite; the batch is saved.
    """
    accelerator, optimizer, epoch, steps = (
        parts.accelerator,
        parts.optimizer,
        parts.progress.epoch,
        parts.shuffle.steps,
    )
    parts.learner.train()
    began, waited, losses = time.monotonic(), 0.0, 0.0
    for index in range(steps):
        asked = time.monotonic()
        batch = next(stream)  # (N, 3, H, W) uint8, (N, H, W) uint8
        waited += time.monotonic() - asked
        images, labels = (tensor.to(accelerator.device, non_blocking=True) for tensor in batch)
        step = epoch * steps + index
        rate = learning_rate(config, step, steps)
        set_lr(optimizer, rate)
        optimizer.zero_grad()
        loss = forward_backward(config, parts, images, labels, step)
        if not math.isfinite(loss):
            raise stop_at_bad_batch(parts, batch, loss, index)
        accelerator.clip_grad_norm_(parts.learner.parameters(), config.gradient_clip)
        optimizer.step()
        parts.average.update_parameters(accelerator.unwrap_model(parts.learner).network)
        losses += loss
        took = time.monotonic() - began
        speed = (index + 1) * config.batch_size / took
        row = {
            "epoch": epoch + 1,
            "loss": losses / (index + 1),
            "rate": rate,
            "images_per_s": speed,
            "waited": waited / took,
        }
        report(row | {"step": index + 1, "steps": steps})
    return row


def forward_backward(
    config: TrainConfig, parts: TrainState, images: Tensor, labels: Tensor, step: int
) -> float:
    """Add up the gradients of a batch, in as many pieces as the config says, and return its loss.

    Args:
        config: pieces, weights of the losses.
        parts: learner, teacher.
        images: (N, 3, H, W) uint8.
        labels: (N, H, W) uint8, 255 = ignore.
        step: number of the batch in the run.
    """
    accelerator, total = parts.accelerator, 0.0
    pieces = list(
        zip(images.chunk(config.accumulate), labels.chunk(config.accumulate), strict=True)
    )
    for number, (photos, truth) in enumerate(pieces):
        last = number == len(pieces) - 1
        with (
            nullcontext() if last else accelerator.no_sync(parts.learner)
        ):  # processes exchange gradients once a batch
            pixels = normalize(photos, config.mean, config.std).contiguous(
                memory_format=torch.channels_last
            )
            outputs, features = parts.learner(pixels)
            loss = total_loss(outputs, truth, config, step, parts.class_weights, parts.sets)
            if parts.teacher:
                with accelerator.autocast():
                    answer = parts.teacher(photos)
                loss = loss + distillation_loss((outputs[0], features), answer, config)
            loss = loss / len(pieces)
            accelerator.backward(loss)
        total += loss.item()
    return total


class Checkpointer:
    """Writes down each epoch.

    Where it validates, evaluates the moving average and keeps the last and the best of it.
    """

    def __init__(
        self, config: TrainConfig, val_set: Dataset, parts: TrainState, also: Mapping[str, Dataset]
    ) -> None:
        self.also = also
        self.config, self.val_set, self.out, self.average = (
            config,
            val_set,
            parts.out,
            parts.average,
        )
        self.board = Board(self.out / "tensorboard", parts.progress) if config.tensorboard else None
        self.predict = make_predict(self.average, config.mean, config.std, parts.accelerator.device)
        spec = ModelSpec(
            name=self.out.resolve().name, variant=config.variant, classes=val_set.labels.names, palette=val_set.labels.palette,
            resize="short_side" if config.short_side else "keep", short_side=config.short_side, mean=config.mean, std=config.std,
        )  # fmt: skip
        head = config.head or f"{config.variant}-cityscapes"
        self.metadata = {
            "variant": config.variant, "num_classes": str(len(val_set.labels)), "head": head, "spec": spec.to_json(),
            "run": (self.out / "run.json").read_text(encoding="utf-8"),
        }  # fmt: skip

    def __call__(self, progress: Progress, *, validates: bool) -> None:
        """Write measurements and curves of the newest epoch and, if it validates, scores, weights,
        pictures and the page.
        """
        scores = self.validate(progress) if validates else None
        run.write_metrics(self.out, progress)
        if self.board:
            self.board.add(progress.rows[-1], scores, self.out / "panel.jpg")
        if validates:
            run.write_text(self.out / PAGE, draw_page(self.out, self.config, progress.rows))

    def validate(self, progress: Progress) -> Scores:
        """Evaluate, add the scores to the newest row of progress, write the checkpoints, and return
        the scores.
        """
        self.average.eval()
        scores = evaluate(self.predict, self.val_set)
        others = {name: evaluate(self.predict, dataset) for name, dataset in self.also.items()}
        mean_iou = choosing_score(self.config, scores, others)
        progress.rows[-1] |= {
            "mean_iou": mean_iou,
            "pixel_accuracy": scores.pixel_accuracy,
        } | named_scores(scores, others)
        metadata = self.metadata | {
            "epoch": str(progress.epoch),
            "scores": json.dumps(without_confusion(scores)),
        }
        if others:
            by_set = {name: without_confusion(found) for name, found in others.items()}
            metadata |= {"other_scores": json.dumps(by_set)}
        save_checkpoint(self.out / "last.safetensors", self.average.module, metadata)
        if mean_iou > progress.best:
            progress.best = mean_iou
            save_checkpoint(self.out / "best.safetensors", self.average.module, metadata)
        write_panel(self.out / "panel.jpg", self.predict, self.val_set)
        return scores


def choosing_score(config: TrainConfig, scores: Scores, others: Mapping[str, Scores]) -> float:
    """Return the mean IoU that chooses the best weights: the main validation set's, or the mean
    over all sets.
    """
    if config.best_by == "main":
        return scores.mean_iou
    return sum(found.mean_iou for found in (scores, *others.values())) / (1 + len(others))


def named_scores(scores: Scores, others: Mapping[str, Scores]) -> dict[str, float]:
    """Return columns of metrics.csv with the mean IoU of each set.

    None where there is one set only.
    """
    if not others:
        return {}
    return {"mean_iou main": scores.mean_iou} | {
        f"mean_iou {name}": found.mean_iou for name, found in others.items()
    }


def without_confusion(scores: Scores) -> dict[str, Any]:
    """Return all scores as JSON knows them, without the confusion matrix."""
    summary = scores.summary()
    del summary["confusion"]
    return summary


def mixed_precision(precision: str, device: torch.device) -> str:
    """Return accelerate's word for a precision: as told, or bfloat16 where the device computes it
    natively.

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
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "no"
