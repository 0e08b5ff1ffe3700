"""A checkpoint in the form of EfficientViT's authors, for their code."""

import io
from pathlib import Path

import torch

from galago._core.atomic_io import write_whole
from galago.errors import ModelError
from galago.models.checkpoint import load_checkpoint, to_authors


def export_to_authors(checkpoint: Path, file: Path) -> None:
    """Write a segmentation checkpoint under the authors' tensor names, as
    `torch.save({"state_dict": ...})`.

    Args:
        checkpoint: as training or `galago models get` keeps it.
        file: a .pt file that github.com/mit-han-lab/efficientvit reads with
            load_state_dict_from_file.
    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        ModelError: the file cannot be written.
    """
    content = io.BytesIO()
    torch.save({"state_dict": to_authors(load_checkpoint(checkpoint)[0].state_dict())}, content)
    try:
        write_whole(file, content.getvalue())
    except OSError as error:
        raise ModelError(
            f"Cannot write {file}: {error.strerror or error}. Choose another --out."
        ) from error
