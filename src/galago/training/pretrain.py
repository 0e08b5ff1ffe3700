"""Pre-training of a backbone as an image classifier.

A segmentation network then starts from it with new heads. The recipe is the authors' for ImageNet
as far as it is published (their repository, configs/cls/imagenet): AdamW, cosine, several image
sizes, mixup and CutMix, binary cross-entropy with label smoothing, drop path, a moving average.
"""

import json
import math
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from galago.data.class_folders import ClassFolders, center_crop
from galago.data.class_tars import ClassTars
from galago.errors import TrainingError
from galago.models.checkpoint import CLASSIFIER, save_checkpoint
from galago.models.efficientvit import build_classifier
from galago.models.inference import normalize
from galago.models.layers import set_drop_path
from galago.training.augment import color_jitter
from galago.training.config import PretrainConfig
from galago.training.data import SampleKey, explain_dead_workers
from galago.training.data_fingerprint import fingerprint
from galago.training.distributed import run_on_rank0
from galago.training.history import History
from galago.training.resume import find_starting_point, load_state
from galago.training.run_dir import describe_run, lock_run_dir, write_description, write_metrics
from galago.training.train import OnProgress, run_epochs
from galago.training.train_state import TrainState, make_accelerator, make_train_state

ClassDataset = ClassFolders | ClassTars


class ClassSamples(TorchDataset[tuple[Tensor, int]]):
    """Augmented samples of classified images."""

    def __init__(self, dataset: ClassDataset, config: PretrainConfig) -> None:
        self.dataset = dataset
        self.config = config

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, int]:
        """Return the image (3, S, S) uint8 of the largest size S, and its class id."""
        epoch, index = key
        rng = np.random.default_rng((self.config.seed, epoch, index))
        image, class_id = self.dataset[index]
        image = random_resized_crop(image, max(self.config.sizes), self.config.min_area, rng)
        if rng.random() < self.config.flip:
            image = image[:, ::-1]
        image = color_jitter(np.ascontiguousarray(image), self.config.color_jitter, rng)
        return torch.from_numpy(image).permute(2, 0, 1), class_id

    def describe(self, key: SampleKey) -> str:
        """Return the number and the class of a sample's image without reading it."""
        class_id = self.dataset.class_ids[key[1]]
        return f"image {key[1]}, {self.dataset.names[class_id]}"


def random_resized_crop(
    image: np.ndarray, size: int, min_area: float, rng: np.random.Generator
) -> np.ndarray:
    """Return a random crop of aspect ratio 3/4 to 4/3, resized to (size, size, 3).

    Args:
        image: (H, W, 3) uint8 RGB.
        size: side of the result in pixels.
        min_area: smallest share of the image that the crop shows.
        rng: source of randomness.
    """
    height, width = image.shape[:2]
    area = rng.uniform(min_area, 1) * height * width
    ratio = np.exp(rng.uniform(-1, 1) * np.log(4 / 3))
    rows = min(height, max(1, round(math.sqrt(area / ratio))))
    columns = min(width, max(1, round(math.sqrt(area * ratio))))
    top = rng.integers(0, height - rows + 1)
    left = rng.integers(0, width - columns + 1)
    crop = image[top : top + rows, left : left + columns]
    shrinks = rows > size or columns > size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(crop, (size, size), interpolation=interpolation)


def mixup_or_cutmix(
    images: Tensor, targets: Tensor, config: PretrainConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return a batch blended with itself in another order (mixup), or with pasted rectangles.

    mixup is arXiv:1710.09412, CutMix arXiv:1905.04899.

    Args:
        images: (N, 3, S, S) float.
        targets: (N, K) float, the probabilities of the classes.
        config: probability of each.
        rng: source of randomness.
    """
    draw = rng.random()
    share = rng.beta(0.2, 0.2)
    order = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    if draw < config.mixup:
        images = share * images + (1 - share) * images[order]
    elif draw < config.mixup + config.cutmix:
        side = images.shape[-1]
        cut = round(side * math.sqrt(1 - share))
        top = int(rng.integers(0, side - cut + 1))
        left = int(rng.integers(0, side - cut + 1))
        rows, columns = slice(top, top + cut), slice(left, left + cut)
        images = images.clone()
        images[..., rows, columns] = images[order][..., rows, columns]
        share = 1 - cut * cut / side**2
    else:
        return images, targets
    return images, share * targets + (1 - share) * targets[order]


@explain_dead_workers()
def pretrain(
    config: PretrainConfig,
    train_set: ClassDataset,
    val_set: ClassDataset,
    out: Path,
    *,
    resume: bool = False,
    description: str = "not described",
    on_progress: OnProgress = lambda row: None,
) -> History:
    """Train a classifier, and save the moving average of its weights.

    Args:
        config: the settings.
        train_set, val_set: images of the same classes; the top-1 accuracy on the second decides
            which weights best.safetensors holds.
        out: folder of the run; gets best.safetensors, last.safetensors, metrics.csv, run.json and
            state/.
        resume: whether to resume the run in `out`.
        description: the data in words, for run.json.
        on_progress: called after each step and each validation, as in `train`, with `top1` for
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
    with lock_run_dir(out):
        start = find_starting_point(
            out,
            config,
            weights=None,
            resume=resume,
            make_fingerprint=lambda: fingerprint(
                {"training": train_set, "validation": val_set}, {}
            ),
        )
        state = build_state(config, train_set, out)
        state.fingerprint = start.fingerprint
        if start.saved:
            load_state(state, start.saved)
        else:
            run = describe_run(
                config,
                data=description,
                train_images=len(train_set),
                val_images=len(val_set),
                weights=None,
            )
            run_on_rank0(lambda: write_description(out, run))
        checkpointer = None
        if state.accelerator.is_main_process:
            checkpointer = ClassifierCheckpointer(config, state, val_set)
        step = partial(forward_backward, config, state, len(train_set.names))
        return run_epochs(config, state, step, checkpointer, on_progress)


def build_state(config: PretrainConfig, train_set: ClassDataset, out: Path) -> TrainState:
    """Return the state of a run that has not begun.

    Raises:
        TrainingError: as `train`.
    """
    accelerator = make_accelerator(config)
    network = build_classifier(config.variant, len(train_set.names))
    set_drop_path(network, config.drop_path)
    samples = ClassSamples(train_set, config)
    return make_train_state(
        config, accelerator, model=network, network=network, samples=samples, out=out
    )


def forward_backward(
    config: PretrainConfig,
    state: TrainState,
    num_classes: int,
    images: Tensor,
    class_ids: Tensor,
    step: int,
) -> float:
    """Compute the gradients of a batch, and return its loss: binary cross-entropy per image.

    Args:
        config: image sizes, label smoothing, mixup, CutMix.
        state: of the run.
        num_classes: K.
        images: (N, 3, S, S) uint8.
        class_ids: (N,) int64.
        step: number of the batch in the run; the source of its randomness.
    """
    rng = np.random.default_rng((config.seed, step))
    pixels = normalize(images, config.mean, config.std)
    size = int(rng.choice(config.sizes))
    if size != pixels.shape[-1]:
        pixels = F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
    one_hot = F.one_hot(class_ids, num_classes)
    targets = one_hot * (1 - config.label_smoothing) + config.label_smoothing / num_classes
    pixels, targets = mixup_or_cutmix(pixels, targets, config, rng)
    logits = state.model(pixels).float()
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(images)
    state.accelerator.backward(loss)
    return loss.item()


class ClassifierCheckpointer:
    """Validates the moving average and keeps its last and its best weights."""

    def __init__(self, config: PretrainConfig, state: TrainState, val_set: ClassDataset) -> None:
        self._config = config
        self._state = state
        self._val_set = val_set
        side = max(config.sizes)
        self._metadata = {
            "kind": CLASSIFIER,
            "variant": config.variant,
            "num_classes": str(len(val_set.names)),
            "classes": json.dumps(val_set.names),
            "input": json.dumps({"side": side, "mean": config.mean, "std": config.std}),
        }

    def __call__(self, history: History, *, validates: bool) -> None:
        """Write metrics of the newest epoch and, if it is validated, scores and checkpoints."""
        out, ema = self._state.out, self._state.ema
        if validates:
            row = history.rows[-1]
            device = self._state.accelerator.device
            row["top1"], row["top5"] = accuracy(ema, self._val_set, self._config, device)
            scores = {"epoch": str(history.epoch), "top1": f"{row['top1']:.4f}"}
            save_checkpoint(out / "last.safetensors", ema.module, self._metadata | scores)
            if row["top1"] > history.best:
                history.best = row["top1"]
                save_checkpoint(out / "best.safetensors", ema.module, self._metadata | scores)
        write_metrics(out, history)

    def close(self) -> None:
        """Close no file; all are written at once."""


@torch.inference_mode()
def accuracy(
    network: nn.Module, dataset: ClassDataset, config: PretrainConfig, device: torch.device
) -> tuple[float, float]:
    """Return top-1 and top-5 accuracy, 0 to 1."""
    network.eval()
    top1 = top5 = 0
    for index in range(len(dataset)):
        image, class_id = dataset[index]
        crop = torch.from_numpy(center_crop(image, max(config.sizes)))
        pixels = normalize(crop.permute(2, 0, 1)[None].to(device), config.mean, config.std)
        ranked = network(pixels)[0].topk(min(5, len(dataset.names))).indices.tolist()
        top1 += ranked[0] == class_id
        top5 += class_id in ranked
    return top1 / len(dataset), top5 / len(dataset)
