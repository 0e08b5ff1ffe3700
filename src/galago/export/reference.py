"""A checkpoint as a Segmenter: the float32 network in torch, with which exported files are compared."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from galago.errors import CheckpointError
from galago.export.rewrite.deploy import fold_norms
from galago.models.checkpoint import load_checkpoint
from galago.models.normalize import normalize
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec


class TorchEngine:
    """Runs a network in torch, float32, on the CPU: as trained, without what export rewrites."""

    name = "torch"
    input_size: tuple[int, int] | None = None

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        """Keep a copy of a network with its norms folded.

        Args:
            network: a trained segmentation network; left as it is.
            spec: mean and std.
        """
        self.network = fold_norms(network)
        self.spec = spec

    @torch.inference_mode()
    def run(self, image: np.ndarray) -> np.ndarray:
        """Run one image: (1, H, W, 3) uint8 in, (1, K, H / 8, W / 8) float32 logits out."""
        planes = torch.from_numpy(image).permute(0, 3, 1, 2)
        logits: np.ndarray = self.network(normalize(planes, self.spec.mean, self.spec.std)).numpy()
        return logits


def load_reference(path: Path) -> Segmenter:
    """Return a Segmenter of a checkpoint.

    Raises:
        CheckpointError: the file is missing or damaged, or was not written by galago's training.
    """
    network, metadata = load_checkpoint(path)
    spec = checkpoint_spec(path, metadata)
    return Segmenter(TorchEngine(network, spec), spec)


def checkpoint_spec(path: Path, metadata: dict[str, str]) -> ModelSpec:
    """Return the model description that training keeps in a checkpoint.

    Raises:
        CheckpointError: it has none.
    """
    if "spec" not in metadata:
        raise CheckpointError(
            f"{path} holds no description of its classes. Use a checkpoint that `galago train` "
            "wrote."
        )
    return ModelSpec.from_json(metadata["spec"])
