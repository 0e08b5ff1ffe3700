"""Checkpoints of others: pickles read without running anything in them, and wrappers taken off."""

import re
import warnings
from pathlib import Path

import torch
from torch import Tensor

from galago.errors import CheckpointError
from galago.models.checkpoint import read_tensors


def read_foreign(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` file or of a pickled checkpoint, whose `state_dict` and `module.` are taken off.

    Raises:
        CheckpointError: the file is damaged, holds no tensors, or wants to run code.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    content = read_pickle(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no table of tensors, but {type(content).__name__}. Use a checkpoint of a network.")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}  # of DataParallel


def read_pickle(path: Path) -> object:
    """Read a pickle of plain values and tensors; one that names anything else is refused before anything of it runs.

    Raises:
        CheckpointError: it does, or the file is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols that torch does not write
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path} is a pickle that wants to run {named[1]}. Nothing of it was run. A checkpoint needs only tensors: get "
                "the file from its authors again, or do not use it."
            ) from error
        raise CheckpointError(f"{path} is damaged or no checkpoint. Get it again.") from error
