"""A checkpoint as a Segmenter: the float32 network in torch, against which every exported file is
judged.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from galago.errors import CheckpointError
from galago.export.rewrite.deploy import fold_norms
from galago.models.checkpoint import load_checkpoint
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec


class TorchEngine:
    """Runs a network in torch, float32, on the CPU: as it was trained, with none of what export
    rewrites.
    """

    name = "torch"
    input_size: tuple[int, int] | None = None

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        self.network = fold_norms(network)
        self.mean, self.std = (
            torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std)
        )

    @torch.inference_mode()
    def run(self, image: np.ndarray) -> np.ndarray:
        """Run one photo: (1, H, W, 3) uint8 in, (1, K, H / 8, W / 8) float32 logits out."""
        pixels = torch.from_numpy(image).permute(0, 3, 1, 2) / 255
        logits: np.ndarray = self.network((pixels - self.mean) / self.std).numpy()
        return logits


def load_reference(path: Path) -> Segmenter:
    """Open a checkpoint for labeling photos.

    Raises:
        CheckpointError: the file is missing or damaged, or was not written by galago's training.
    """
    network, metadata = load_checkpoint(path)
    return Segmenter(
        TorchEngine(network, checkpoint_spec(path, metadata)), checkpoint_spec(path, metadata)
    )


def checkpoint_spec(path: Path, metadata: dict[str, str]) -> ModelSpec:
    """Read the model description that training keeps in a checkpoint.

    Raises:
        CheckpointError: it has none.
    """
    if "spec" not in metadata:
        raise CheckpointError(
            f"{path} holds no description of its classes. Use a checkpoint that `galago train` "
            "wrote."
        )
    return ModelSpec.from_json(metadata["spec"])
