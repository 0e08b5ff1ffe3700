"""A checkpoint as a Segmenter: the float32 network with which exported files are compared."""

from pathlib import Path

from galago.errors import CheckpointError
from galago.models.checkpoint import load_checkpoint
from galago.models.inference import TorchEngine
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec


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
