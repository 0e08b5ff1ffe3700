"""What do a backbone's features know? A linear probe on drawn street scenes: python probe.py
CHECKPOINT.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from galago.models.backbone import STRIDES, Backbone
from galago.models.checkpoint import load_backbone
from galago.models.variants import BACKBONES
from galago.scenes.dataset import render_scene
from galago.spec import IMAGENET_MEAN, IMAGENET_STD

SIZE = (256, 384)  # (height, width) of a scene, multiples of 32
STAGES = (2, 3, 4)  # maps at strides 8, 16 and 32
TRAIN, TEST = range(8), range(1000, 1004)  # seeds of scenes
RIDGE = 1.0


@torch.inference_mode()
def describe(backbone: Backbone, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, C) of every 8 x 8 pixels of scenes, and their labels (N,)."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    features, labels = [], []
    for seed in seeds:
        scene = render_scene(seed, SIZE)
        maps = backbone((torch.tensor(scene.image).permute(2, 0, 1)[None] / 255 - mean) / std)
        grown = [
            torch.nn.functional.interpolate(maps[i], scale_factor=STRIDES[i] / 8, mode="bilinear")
            for i in STAGES
        ]
        features.append(torch.cat(grown, 1)[0].flatten(1).T.numpy())
        labels.append(scene.labels[4::8, 4::8].ravel())  # of the middle
    return np.concatenate(features), np.concatenate(labels)


def probe(backbone: Backbone) -> float:
    """Fit a linear map from features to classes by ridge regression.

    Return its accuracy on other scenes, 0 to 1.
    """
    (known, truth), (fresh, expected) = describe(backbone, TRAIN), describe(backbone, TEST)
    mean, std = known.mean(0), known.std(0) + 1e-6
    known, fresh = (
        (np.pad((x - mean) / std, ((0, 0), (0, 1)), constant_values=1)).astype(np.float64)
        for x in (known, fresh)
    )
    counted = truth < 255
    one_hot = np.eye(11)[truth[counted]]
    known = known[counted]
    weight = np.linalg.solve(known.T @ known + RIDGE * np.eye(known.shape[1]), known.T @ one_hot)
    return float(((fresh @ weight).argmax(1) == expected)[expected < 255].mean())


def main() -> None:
    """Compare a trained backbone with one of random weights."""
    trained = load_backbone(Path(sys.argv[1]))
    torch.manual_seed(0)
    untrained = Backbone(trained.config).eval()
    variant = next(name for name, config in BACKBONES.items() if config == trained.config)
    print(
        f"{variant}, trained: {probe(trained):.1%} of places right; random weights: "
        f"{probe(untrained):.1%}"
    )


if __name__ == "__main__":
    main()
