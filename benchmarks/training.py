"""How fast is a training step, and does the loader keep up with it? galago's loop beside the loop
that people write by hand.

    python benchmarks/training.py [--variant b0] [--runs 15]

By hand: float32, contiguous memory, logits grown to every pixel, cross-entropy of all of them.
galago: channels_last, the loss at sampled pixels, with its Dice and its auxiliary heads, a few
layers in quicker forms; in float32 and in bfloat16. Then a short run on drawn scenes says which
share of its time the network waited for photos.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import save_result, time_interleaved

from galago.data.cache import CachedDataset
from galago.models.efficientvit import build_model
from galago.scenes.dataset import Scenes
from galago.training.config import TrainConfig
from galago.training.cpu import optimize_for_cpu, tune_malloc
from galago.training.losses import total_loss
from galago.training.model import TrainingModel
from galago.training.optim import make_optimizer
from galago.training.recipes import camvid
from galago.training.train import train

CLASSES = 11


def by_hand(config: TrainConfig, images: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Return a step as people write it."""
    network = build_model(config.variant, CLASSES).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step() -> None:
        logits = F.interpolate(network(images), size=labels.shape[1:], mode="bilinear")
        loss = F.cross_entropy(logits, labels.long(), ignore_index=255)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs lack it
        optimizer.step()

    return step


def ours(
    config: TrainConfig, images: torch.Tensor, labels: torch.Tensor, *, bfloat16: bool
) -> Callable[[], None]:
    """Return a step of galago's loop."""
    network = build_model(config.variant, CLASSES)
    model = optimize_for_cpu(TrainingModel(network, CLASSES, config)).train()
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    optimizer = make_optimizer(model, config)
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            outputs = model(images)
        loss = total_loss([output.float() for output in outputs], labels, config, 0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs lack it
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()

    return step


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="b0")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    tune_malloc()
    config = dataclasses.replace(camvid(), variant=arguments.variant)
    images = torch.randn(config.batch_size, 3, *config.crop_size)
    labels = torch.randint(0, CLASSES, (config.batch_size, *config.crop_size), dtype=torch.uint8)
    rivals = {
        "by_hand": by_hand(config, images, labels),
        "float32": ours(config, images, labels, bfloat16=False),
        "bfloat16": ours(config, images, labels, bfloat16=True),
    }
    times = time_interleaved(rivals, runs=arguments.runs)
    with tempfile.TemporaryDirectory() as folder:
        photos = CachedDataset(Scenes(64), Path(folder) / "cache")
        for index in range(len(photos)):
            photos[index]  # drawn before the clock runs
        settings = dataclasses.replace(
            config, epochs=3, validate_every=3, save_every=3, precision="float32"
        )
        rows = train(settings, photos, Scenes(4), Path(folder) / "run").rows
    result = {
        "variant": arguments.variant,
        "batch_size": config.batch_size,
        "crop_size": config.crop_size,
        "threads": torch.get_num_threads(),
        "steps": times,
        "images_per_s": {
            name: 1000 * config.batch_size / values["median_ms"] for name, values in times.items()
        },
        "epochs": [
            {"images_per_s": row["images_per_s"], "data_wait": row["data_wait"]} for row in rows
        ],
    }
    print(save_result("training", result), result["images_per_s"], result["epochs"])


if __name__ == "__main__":
    main()
