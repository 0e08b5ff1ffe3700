"""Pre-training of a backbone as a classifier of whole photos.

A segmentation network then starts from it with new heads.

The recipe is the authors' for ImageNet as far as it is published (their repository,
configs/cls/imagenet): AdamW, cosine, photos of several sizes, mixup and CutMix, binary
cross-entropy with smoothed labels, drop path, a moving average.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from galago.data.class_folders import ClassFolders, center_crop
from galago.data.class_tars import ClassTars
from galago.errors import TrainingError
from galago.models.checkpoint import CLASSIFIER, save_checkpoint
from galago.models.efficientvit import build_classifier
from galago.models.layers import set_drop_path
from galago.training import run_dir as run
from galago.training.augment import color_jitter
from galago.training.begin import Beginning
from galago.training.config import ClassifyConfig
from galago.training.cpu import optimize_for_cpu
from galago.training.data import AugmentedSample, BatchSampler, batches, init_worker, own_randomness
from galago.training.distributed import convert_sync_batchnorm, join
from galago.training.fingerprint import Part, fingerprint
from galago.training.hold import hold
from galago.training.model import ema
from galago.training.optim import learning_rate, make_optimizer, set_lr
from galago.training.state import Changing, save_state
from galago.training.train import Report, mixed_precision
from galago.training.validate import normalize
from galago.training.workers import explain_lost_workers


class ClassViews(TorchDataset[tuple[Tensor, int]]):
    """Random views of classified photos; the view (epoch, index) is always the same."""

    def __init__(self, photos: ClassFolders | ClassTars, config: ClassifyConfig) -> None:
        self.photos, self.config = photos, config

    def __getitem__(self, view: AugmentedSample) -> tuple[Tensor, int]:
        """Return the image (3, S, S) uint8 of the largest size S, and its class id."""
        epoch, index = view
        rng = np.random.default_rng((self.config.seed, epoch, index))
        photo, class_id = self.photos[index]
        image = random_resized_crop(photo, max(self.config.sizes), self.config.min_area, rng)
        if rng.random() < self.config.flip:
            image = image[:, ::-1]
        image = color_jitter(np.ascontiguousarray(image), self.config.color, rng)
        return torch.from_numpy(image).permute(2, 0, 1), class_id


def random_resized_crop(
    photo: np.ndarray, size: int, min_area: float, rng: np.random.Generator
) -> np.ndarray:
    """Cut a random part of an (H, W, 3) photo, of an aspect ratio from 3/4 to 4/3, and bring it to
    (size, size, 3).
    """
    height, width = photo.shape[:2]
    area, ratio = (
        rng.uniform(min_area, 1) * height * width,
        np.exp(rng.uniform(-1, 1) * np.log(4 / 3)),
    )
    rows, columns = (
        min(height, max(1, round(math.sqrt(area / ratio)))),
        min(width, max(1, round(math.sqrt(area * ratio)))),
    )
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    shrinks = rows > size or columns > size
    part = photo[top : top + rows, left : left + columns]
    return cv2.resize(
        part, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def mixup_or_cutmix(
    images: Tensor, targets: Tensor, config: ClassifyConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Blend a batch with itself in another order (mixup, arXiv:1710.09412) or exchange rectangles
    (CutMix, arXiv:1905.04899).

    Args:
        images: (N, 3, S, S) float.
        targets: (N, K) float, the probabilities of the classes.
        config: how often.
        rng: decides.
    """
    draw, share, order = (
        rng.random(),
        rng.beta(0.2, 0.2),
        torch.from_numpy(rng.permutation(len(images))).to(images.device),
    )
    if draw < config.mixup:
        images = share * images + (1 - share) * images[order]
    elif draw < config.mixup + config.cutmix:
        side = images.shape[-1]
        cut = round(side * math.sqrt(1 - share))
        top, left = (int(rng.integers(0, side - cut + 1)) for _ in range(2))
        images = images.clone()
        images[..., top : top + cut, left : left + cut] = images[order][
            ..., top : top + cut, left : left + cut
        ]
        share = 1 - cut * cut / side**2
    else:
        return images, targets
    return images, share * targets + (1 - share) * targets[order]


@explain_lost_workers()
def train_classifier(
    config: ClassifyConfig,
    train_set: ClassFolders | ClassTars,
    val_set: ClassFolders | ClassTars,
    out: Path,
    *,
    resume: bool = False,
    data: str = "not described",
    report: Report = lambda row: None,
) -> run.Progress:
    """Train a classifier and keep its moving average as best.safetensors and last.safetensors,
    judged by top-1 accuracy.

    Args:
        config: how to train.
        train_set, val_set: photos of the same classes.
        out: folder of the run; gets the weights, metrics.csv, run.json and state/.
        resume: whether to go on from out/state.
        data: what the photos are, in words.
        report: called after each step and each validation, as in `train`, with `top1` for
            `mean_iou`.
    Returns:
        epochs completed, best top-1 accuracy, and the rows of metrics.csv.
    Raises:
        TrainingError: as `train`.
    """
    if train_set.names != val_set.names:
        raise TrainingError(
            f"The splits have different classes: {train_set.names} and {val_set.names}."
        )
    with hold(out):
        return _train_classifier(
            config, (train_set, val_set), out, resume=resume, data=data, report=report
        )


def _train_classifier(
    config: ClassifyConfig,
    splits: tuple[ClassFolders | ClassTars, ClassFolders | ClassTars],
    out: Path,
    *,
    resume: bool,
    data: str,
    report: Report,
) -> run.Progress:
    """Train in a folder that no other run writes into; see `train_classifier`."""
    train_set, val_set = splits
    sets: dict[str, Part | None] = {"training": train_set, "validation": val_set}
    begin = Beginning(out, config, (None, resume), lambda: fingerprint(sets, {}))
    torch.manual_seed(config.seed)
    # of an earlier run in this process, which may have had another precision
    AcceleratorState._reset_state()
    device = join().device
    accelerator = Accelerator(
        mixed_precision=mixed_precision(config.precision, device), cpu=device.type == "cpu"
    )
    main, progress = accelerator.is_main_process, run.Progress()
    network: nn.Module = build_classifier(config.variant, len(train_set.names))
    set_drop_path(network, config.drop_path)
    network = convert_sync_batchnorm(network, accelerator.num_processes, device)
    if device.type == "cpu":
        optimize_for_cpu(network)
    average = ema(network, config.ema_decay).to(device)
    shuffle = BatchSampler(
        len(train_set),
        config.batch_size,
        config.seed,
        config.epochs,
        (accelerator.process_index, accelerator.num_processes),
    )
    loader = DataLoader(
        ClassViews(train_set, config),
        batch_sampler=shuffle,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        multiprocessing_context="spawn" if config.workers else None,
        worker_init_fn=init_worker,
        generator=own_randomness(config.seed),
    )
    network, optimizer = accelerator.prepare(network, make_optimizer(network, config))
    changing = Changing(accelerator, network, optimizer, average, progress, begin.data)
    photos = len(train_set), len(val_set)
    begin(changing, lambda: run.describe_run(config, data=data, photos=photos, weights=None))
    shuffle.epoch = progress.epoch
    names = json.dumps(train_set.names)
    metadata = {
        "kind": CLASSIFIER, "variant": config.variant, "num_classes": str(len(train_set.names)), "classes": names,
        "input": json.dumps({"side": max(config.sizes), "mean": config.mean, "std": config.std}),
    }  # fmt: skip
    tools = accelerator, network, optimizer, average
    with closing(batches(loader)) as stream:
        for _ in range(progress.epoch, config.epochs):
            row = run_epoch(
                config,
                tools,
                stream,
                (progress.epoch, shuffle.steps),
                report if main else lambda row: None,
            )
            progress.epoch += 1
            progress.rows.append(row)
            last = progress.epoch == config.epochs
            if main:
                if last or progress.epoch % config.validate_every == 0:
                    row["top1"], row["top5"] = accuracy(average, val_set, config, device)
                    report({name: row[name] for name in ("epoch", "loss", "top1")})
                    about = metadata | {"epoch": str(progress.epoch), "top1": f"{row['top1']:.4f}"}
                    save_checkpoint(out / "last.safetensors", average.module, about)
                    if row["top1"] > progress.best:
                        progress.best = row["top1"]
                        save_checkpoint(out / "best.safetensors", average.module, about)
                run.write_metrics(out, progress)
            if last or progress.epoch % config.save_every == 0:
                save_state(changing, out)
    return progress


def run_epoch(
    config: ClassifyConfig,
    tools: tuple[Accelerator, nn.Module, torch.optim.Optimizer, nn.Module],
    stream: Iterator[tuple[Tensor, Tensor]],
    place: tuple[int, int],
    report: Callable[[dict[str, float]], None],
) -> dict[str, float]:
    """Pass over the photos once; `place` is the number of the epoch, from 0, and its steps.

    Raises:
        TrainingError: the loss is not finite.
    """
    accelerator, network, optimizer, average = tools
    epoch, steps = place
    network.train()
    began, losses = time.monotonic(), 0.0
    for index in range(steps):
        images, class_ids = (
            tensor.to(accelerator.device) for tensor in next(stream)
        )  # (N, 3, S, S) uint8, (N,) int64
        step = epoch * steps + index
        rng = np.random.default_rng((config.seed, step))
        rate = learning_rate(config, step, steps)
        set_lr(optimizer, rate)
        pixels = normalize(images, config.mean, config.std)
        size = int(rng.choice(config.sizes))
        if size != pixels.shape[-1]:
            pixels = F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
        num_classes = accelerator.unwrap_model(network).head.classify.out_features
        targets = (
            F.one_hot(class_ids, num_classes) * (1 - config.label_smoothing)
            + config.label_smoothing / num_classes
        )
        pixels, targets = mixup_or_cutmix(pixels, targets, config, rng)
        loss = F.binary_cross_entropy_with_logits(
            network(pixels).float(), targets, reduction="sum"
        ) / len(images)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss.item()} in epoch {epoch + 1}, step {index + 1}. "
                "Start another run with a lower peak_learning_rate."
            )
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(network.parameters(), config.gradient_clip)
        optimizer.step()
        average.update_parameters(accelerator.unwrap_model(network))  # type: ignore[operator]  # an AveragedModel
        losses += loss.item()
        speed = (index + 1) * config.batch_size / (time.monotonic() - began)
        row = {
            "epoch": epoch + 1,
            "loss": losses / (index + 1),
            "rate": rate,
            "images_per_s": speed,
        }
        report(row | {"step": index + 1, "steps": steps})
    return row


@torch.inference_mode()
def accuracy(
    network: nn.Module,
    photos: ClassFolders | ClassTars,
    config: ClassifyConfig,
    device: torch.device,
) -> tuple[float, float]:
    """Return the share of photos whose class is the most likely one, and among the five most likely
    ones.
    """
    network.eval()
    first = among = 0
    for index in range(len(photos)):
        photo, class_id = photos[index]
        image = (
            torch.from_numpy(center_crop(photo, max(config.sizes)))
            .permute(2, 0, 1)[None]
            .to(device)
        )
        best = (
            network(normalize(image, config.mean, config.std))[0]
            .topk(min(5, len(photos.names)))
            .indices.tolist()
        )
        first += best[0] == class_id
        among += class_id in best
    return first / len(photos), among / len(photos)
