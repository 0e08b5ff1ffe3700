"""The training loop: every step visible, in order."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from galago.data.sample import Dataset
from galago.errors import TrainingError
from galago.evaluation.evaluate import evaluate
from galago.models.checkpoint import CLASSIFIER, load_backbone, load_checkpoint, load_tensors, read_tensors, save_checkpoint
from galago.models.efficientvit import EfficientViTSeg, build_model
from galago.models.layers import set_drop_path
from galago.spec import ModelSpec
from galago.training import run
from galago.training.average import moving_average
from galago.training.balance import class_weights
from galago.training.config import TrainConfig
from galago.training.distill import Projections, Teacher, feature_distance, logit_distance
from galago.training.loader import Shuffle, batches, make_loader
from galago.training.losses import AuxiliaryHeads, cross_entropy, dice_loss, sample_pixels
from galago.training.panel import write_panel
from galago.training.processes import join, sync_norms
from galago.training.run import Progress
from galago.training.styles import STAGES, mix_styles
from galago.training.validate import make_predict, normalize

Report = Callable[[dict[str, float]], None]


class Learner(nn.Module):
    """The network and what it has in training only: auxiliary heads, projections to a teacher's channels."""

    def __init__(
        self, network: EfficientViTSeg, num_classes: int, config: TrainConfig, teacher_widths: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        widths = network.backbone.config.widths
        self.network = network
        self.auxiliary = AuxiliaryHeads(widths, num_classes) if config.auxiliary_weight else None
        self.projections = Projections(widths, teacher_widths) if teacher_widths and config.distill_features else None
        self.style_mix = config.style_mix
        set_drop_path(network.backbone, config.drop_path)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map (N, 3, H, W) to logits at stride 8, then those of the auxiliary heads; and to features as a teacher has them."""
        x, features = images, []
        for number, stage in enumerate(self.network.backbone.stages):
            x = stage(x)
            if number < STAGES and self.style_mix and torch.rand(()) < self.style_mix:
                x = mix_styles(x)
            features.append(x)
        extra = self.auxiliary(features) if self.auxiliary else []
        return [self.network.head(features), *extra], self.projections(features) if self.projections else []


def train(
    config: TrainConfig,
    train_set: Dataset,
    val_set: Dataset,
    out: Path,
    *,
    mixed_in: Dataset | None = None,
    teacher: Path | None = None,
    start: tuple[Path | None, bool] = (None, False),
    data: str = "not described",
    report: Report = lambda row: None,
) -> Progress:
    """Train a network and keep its moving average; in several processes, each of which calls this, the first one writes.

    Args:
        config: how to train.
        train_set, val_set: labeled photos with the same classes; the second decides which weights `best` holds.
        out: folder of the run; gets best.safetensors, last.safetensors, metrics.csv, run.json, panel.jpg and state/.
        mixed_in: what a share of `config.mix` of the views is drawn from; the same classes.
        teacher: checkpoint of a network of the same classes, from whose answers this one learns, too.
        start: a checkpoint to begin from, or None for random weights; and whether to go on from out/state instead.
        data: what the photos are, in words, for run.json and the model's card.
        report: called after each step with `epoch`, `step`, `steps`, `loss`, `rate`, `images_per_s` and `waited`, and after each
            validation with `epoch`, `loss` and `mean_iou`.
    Returns:
        epochs completed, best mean IoU, and the rows of metrics.csv.
    Raises:
        TrainingError: classes differ, too few photos, a loss that is not finite, `out` holds another run, there is nothing to
            resume or only under other settings, or a file cannot be written.
    """
    if train_set.labels.names != val_set.labels.names:
        raise TrainingError(f"The splits have different classes: {train_set.labels.names} and {val_set.labels.names}.")
    if mixed_in and mixed_in.labels.names != train_set.labels.names:
        raise TrainingError(f"What is mixed in has different classes: {mixed_in.labels.names}, not {train_set.labels.names}.")
    weights, resume = start
    if resume:
        state, weights = run.find_state(out), None
        run.check_same_settings(out, config)
    else:
        run.check_unused(out)
    parts = set_up(config, train_set, mixed_in, teacher, weights)
    main, progress = parts.accelerator.is_main_process, parts.progress
    if resume:
        parts.accelerator.load_state(str(state))
    elif main:
        photos = len(train_set), len(val_set)
        run.write_description(out, run.describe_run(config, data=data, photos=photos, weights=weights, teacher=teacher))
    parts.accelerator.wait_for_everyone()
    parts.shuffle.epoch = progress.epoch
    stream = batches(parts.loader)
    keep = Keeper(config, val_set, out, parts.average, parts.accelerator.device) if main else None
    for _ in range(progress.epoch, config.epochs):
        row = run_epoch(config, parts, stream, report if main else lambda row: None)
        progress.epoch += 1
        progress.rows.append(row)
        last = progress.epoch == config.epochs
        if keep:
            if last or progress.epoch % config.validate_every == 0:
                keep(progress)
                report({name: row[name] for name in ("epoch", "loss", "mean_iou")})
            run.write_metrics(out, progress)
        if last or progress.epoch % config.save_every == 0:
            run.save_state(parts.accelerator, out)
    return progress


@dataclass
class Parts:
    """What a run consists of.

    Attributes:
        accelerator: places tensors, computes gradients, saves and loads the state.
        learner: network and auxiliary heads, as the accelerator prepared them.
        optimizer: of all their parameters.
        average: moving average of the network.
        loader: batches of this process.
        shuffle: their order; its `epoch` has to be set before the loader is read.
        class_weights: (K,) of the cross-entropy, or None.
        teacher: from whom the network learns, or None.
        progress: epochs, best score, rows of metrics.csv.
    """

    accelerator: Accelerator
    learner: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel
    loader: Iterable[tuple[Tensor, Tensor]]
    shuffle: Shuffle
    class_weights: Tensor | None
    teacher: Teacher | None
    progress: Progress


def set_up(
    config: TrainConfig, train_set: Dataset, mixed_in: Dataset | None, teacher_file: Path | None, weights: Path | None
) -> Parts:
    """Build a run that has not begun.

    Raises:
        CheckpointError, TrainingError: as `train`.
    """
    torch.manual_seed(config.seed)
    AcceleratorState._reset_state()  # of an earlier run in this process, which may have had another precision
    precision = "bf16" if computes_bfloat16(config.precision) else "no"
    accelerator = Accelerator(mixed_precision=precision, cpu=join().device.type == "cpu")
    num_classes, processes = len(train_set.labels), accelerator.num_processes
    teacher = Teacher(teacher_file, train_set.labels, accelerator.device) if teacher_file else None
    widths = teacher.widths if teacher else None
    learner: nn.Module = Learner(start_network(config, num_classes, weights), num_classes, config, widths)
    learner = sync_norms(learner, processes, accelerator.device)
    if processes == 1:  # DistributedDataParallel's buckets are contiguous
        learner = learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    average = moving_average(learner.network, config.ema_decay).to(accelerator.device)  # type: ignore[arg-type]
    loader, shuffle = make_loader(train_set, config, (accelerator.process_index, processes), mixed_in=mixed_in)
    balance = class_weights(train_set, config.class_balance)
    balance, progress = None if balance is None else balance.to(accelerator.device), Progress()
    learner, optimizer = accelerator.prepare(learner, make_optimizer(learner, config))
    accelerator.register_for_checkpointing(average, progress)
    return Parts(accelerator, learner, optimizer, average, loader, shuffle, balance, teacher, progress)


def run_epoch(config: TrainConfig, parts: Parts, stream: Iterator[tuple[Tensor, Tensor]], report: Report) -> dict[str, float]:
    """Pass over the photos once, with the next batches of the stream.

    Returns:
        epoch, mean loss, last rate, photos per second of all processes together, and the share of the time in which this process
        waited for photos.

    Raises:
        TrainingError: the loss is not finite.
    """
    accelerator, optimizer, epoch, steps = parts.accelerator, parts.optimizer, parts.progress.epoch, parts.shuffle.steps
    parts.learner.train()
    began, waited, losses = time.monotonic(), 0.0, 0.0
    for index in range(steps):
        asked = time.monotonic()
        batch = next(stream)  # (N, 3, H, W) uint8, (N, H, W) uint8
        waited += time.monotonic() - asked
        images, labels = (tensor.to(accelerator.device, non_blocking=True) for tensor in batch)
        step = epoch * steps + index
        rate = learning_rate(config, step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        pixels = normalize(images, config.mean, config.std).contiguous(memory_format=torch.channels_last)
        outputs, features = parts.learner(pixels)
        loss = total_loss(outputs, labels, config, step, parts.class_weights)
        if parts.teacher:
            with accelerator.autocast():
                answer = parts.teacher(images)
            loss = loss + teaching_loss((outputs[0], features), answer, config)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss.item()} in epoch {epoch + 1}, step {index + 1}. "
                "Start another run with a lower peak_learning_rate, or with another recipe."
            )
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(parts.learner.parameters(), config.gradient_clip)
        optimizer.step()
        parts.average.update_parameters(accelerator.unwrap_model(parts.learner).network)
        losses += loss.item()
        took = time.monotonic() - began
        speed = (index + 1) * config.batch_size / took
        row = {"epoch": epoch + 1, "loss": losses / (index + 1), "rate": rate, "images_per_s": speed, "waited": waited / took}
        report(row | {"step": index + 1, "steps": steps})
    return row


class Keeper:
    """Evaluates the moving average and keeps the last and the best of it, with a panel of pictures."""

    def __init__(self, config: TrainConfig, val_set: Dataset, out: Path, average: AveragedModel, device: torch.device) -> None:
        self.val_set, self.out, self.average = val_set, out, average
        self.predict = make_predict(average, config.mean, config.std, device)
        spec = ModelSpec(
            name=out.resolve().name, variant=config.variant, classes=val_set.labels.names, palette=val_set.labels.palette,
            mean=config.mean, std=config.std,
        )  # fmt: skip
        head = config.head or f"{config.variant}-cityscapes"
        self.metadata = {
            "variant": config.variant, "num_classes": str(len(val_set.labels)), "head": head, "spec": spec.to_json(),
            "run": (out / "run.json").read_text(encoding="utf-8"),
        }  # fmt: skip

    def __call__(self, progress: Progress) -> None:
        """Evaluate, add the scores to the newest row of progress, and write the checkpoints."""
        self.average.eval()
        scores = evaluate(self.predict, self.val_set)
        mean_iou = scores.mean_iou
        progress.rows[-1] |= {"mean_iou": mean_iou, "pixel_accuracy": scores.pixel_accuracy}
        summary = scores.summary()
        del summary["confusion"]
        metadata = self.metadata | {"epoch": str(progress.epoch), "scores": json.dumps(summary)}
        save_checkpoint(self.out / "last.safetensors", self.average.module, metadata)
        if mean_iou > progress.best:
            progress.best = mean_iou
            save_checkpoint(self.out / "best.safetensors", self.average.module, metadata)
        write_panel(self.out / "panel.jpg", self.predict, self.val_set)


def computes_bfloat16(precision: str) -> bool:
    """Tell whether to train in bfloat16: as told, or where the device computes it natively."""
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def start_network(config: TrainConfig, num_classes: int, weights: Path | None) -> EfficientViTSeg:
    """Build the network with random weights or with those of a checkpoint; a classifier for other classes starts anew.

    A network that classifies whole photos, as of ImageNet, gives its backbone; the attention's eps is ours.

    Raises:
        CheckpointError: the checkpoint is damaged or of another network.
    """
    network = build_model(config.variant, num_classes, head=config.head)
    if weights is None:
        return network
    if read_tensors(weights)[1].get("kind") == CLASSIFIER:
        load_tensors(network.backbone, load_backbone(weights).state_dict(), source=str(weights))
        return network
    tensors = load_checkpoint(weights)[0].state_dict()
    own = network.state_dict()
    if tensors["head.classify.bias"].shape != own["head.classify.bias"].shape:
        tensors |= {name: own[name] for name in ("head.classify.weight", "head.classify.bias")}
    load_tensors(network, tensors, source=str(weights))
    return network


def make_optimizer(learner: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW with weight decay on convolution weights only."""
    decayed = [parameter for parameter in learner.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in learner.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.peak_learning_rate, fused=torch.cuda.is_available() or None)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Return the rate at a step: linear warm-up, then half a cosine down to zero."""
    total = config.epochs * steps_per_epoch
    warmup = min(config.warmup_epochs * steps_per_epoch, total / 2)
    if step < warmup:
        return config.peak_learning_rate * (step + 1) / (warmup + 1)
    return config.peak_learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def teaching_loss(own: tuple[Tensor, list[Tensor]], answer: tuple[Tensor, list[Tensor]], config: TrainConfig) -> Tensor:
    """Return how far logits and features of the network are from the teacher's."""
    loss = config.distill * logit_distance(own[0], answer[0], config.temperature)
    return loss + config.distill_features * feature_distance(own[1], answer[1]) if config.distill_features else loss


def total_loss(outputs: list[Tensor], labels: Tensor, config: TrainConfig, step: int, weights: Tensor | None = None) -> Tensor:
    """Return cross-entropy over sampled pixels, plus Dice, plus the auxiliary heads' cross-entropy.

    Args:
        outputs: logits of the network, then of the auxiliary heads, (N, K, h, w) each.
        labels: (N, H, W) uint8, 255 = ignore.
        config: weights of the parts.
        step: chooses the pixels.
        weights: (K,) of the classes in the cross-entropy, or None.
    """
    rng = np.random.default_rng((config.seed, step))
    stride = config.loss_stride
    logits, truth = sample_pixels(outputs[0], labels, stride, tuple(rng.integers(0, stride, 2)))
    loss = cross_entropy(logits, truth, weights=weights, hardest=config.hardest, smoothing=config.label_smoothing)
    if config.dice_weight:
        loss = loss + config.dice_weight * dice_loss(logits, truth)
    for extra in outputs[1:]:  # coarse maps: an eighth of the pixels per axis tells them as much
        shift = tuple(rng.integers(0, 4 * stride, 2))
        loss = loss + config.auxiliary_weight * cross_entropy(*sample_pixels(extra, labels, 4 * stride, shift), weights=weights)
    return loss
