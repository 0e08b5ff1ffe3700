"""Classification of whole images in torch, with the resize rule of the published accuracy."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from galago.data.class_folders import center_crop
from galago.errors import CheckpointError
from galago.image import check
from galago.models.checkpoint import load_classifier
from galago.models.inference import normalize
from galago.spec import IMAGENET_MEAN, IMAGENET_STD


class Classifier:
    """A classification network with the resize rule that its accuracy was measured with.

    Attributes:
        names: of the classes; None where the checkpoint has only ids.
        num_classes: K.
    """

    def __init__(self, checkpoint: Path) -> None:
        """Read a checkpoint that `galago models get` or the recipe `imagenet` wrote.

        Raises:
            CheckpointError: it is damaged, or of another kind.
        """
        self.network, metadata = load_classifier(checkpoint)
        self.num_classes = int(metadata["num_classes"])
        self.names = tuple(json.loads(metadata["classes"])) if "classes" in metadata else None
        self.prepare: Callable[[np.ndarray], Tensor]
        if "published" in metadata:
            facts = json.loads(metadata["published"])
            side, crop = int(facts["size"][0]), float(facts["crop"])
            self.prepare = lambda image: normalize(
                resize_and_crop(image, side, crop), IMAGENET_MEAN, IMAGENET_STD
            )
        elif "input" not in metadata:
            raise CheckpointError(
                f"{checkpoint} does not say which input it was measured with. Train it again."
            )
        else:
            given = json.loads(metadata["input"])
            self.prepare = lambda image: normalize(
                torch.from_numpy(center_crop(image, given["side"])).permute(2, 0, 1)[None],
                given["mean"],
                given["std"],
            )

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the (K,) float32 probabilities of the classes for an (H, W, 3) uint8 RGB image.

        Raises:
            ImageError: the image has another shape or dtype.
        """
        check(image)
        logits = self.network(self.prepare(image))
        probabilities: np.ndarray = logits[0].softmax(0).numpy()
        return probabilities


def resize_and_crop(image: np.ndarray, side: int, crop: float) -> Tensor:
    """Return the center crop of an image whose short side was resized to side / crop pixels:
    (1, 3, side, side) float32, 0 to 255.

    The same as in github.com/mit-han-lab/efficientvit,
    applications/efficientvit_cls/eval_efficientvit_cls_model.py, commit 8d60c1c, with torchvision:
    bicubic with antialiasing, rounded to whole numbers.
    """
    short = math.ceil(side / crop)
    height, width = image.shape[:2]
    if height <= width:
        size = (short, int(short * width / height))
    else:
        size = (int(short * height / width), short)
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float()
    pixels = (
        F.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False)
        .clamp(0, 255)
        .round()
    )
    top, left = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return pixels[..., top : top + side, left : left + side]


def top_k(
    probabilities: np.ndarray, count: int, names: Sequence[str] | None = None
) -> list[tuple[str, float]]:
    """Return the most probable classes in descending order, by name or as `class ID`, with their
    probabilities.
    """
    order = np.argsort(-probabilities)[:count]
    return [
        (names[index] if names else f"class {index}", float(probabilities[index]))
        for index in order
    ]
