"""From a published file to galago's own checkpoint and model folder, once.

Later neither network nor pickle is needed.
"""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from galago.errors import CheckpointError
from galago.export.folder import ExportConfig, export_checkpoint
from galago.labels import ADE20K, CITYSCAPES, LabelSet
from galago.models.checkpoint import (
    CLASSIFIER,
    from_authors,
    from_timm,
    load_tensors,
    read_tensors,
    save_checkpoint,
)
from galago.models.efficientvit import build_classifier, build_model
from galago.pretrained import cache as store
from galago.pretrained.download import Progress
from galago.pretrained.table import PretrainedModel
from galago.spec import ModelSpec


def read_external_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` file or of a pickled checkpoint, whose `state_dict` and
    `module.` are taken off.

    Raises:
        CheckpointError: the file is damaged, holds no tensors, or wants to run code.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    content = read_pickle(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise CheckpointError(
            f"{path} holds no table of tensors, but {type(content).__name__}. Use a checkpoint of "
            "a network."
        )
    return {
        str(name).removeprefix("module."): tensor for name, tensor in content.items()
    }  # of DataParallel


def read_pickle(path: Path) -> object:
    """Read a pickle of plain values and tensors.

    One that names anything else is refused before anything of it runs.

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
                f"{path} is a pickle that wants to run {named[1]}. Nothing of it was run. A "
                "checkpoint needs only tensors: get "
                "the file from its authors again, or do not use it."
            ) from error
        raise CheckpointError(f"{path} is damaged or no checkpoint. Get it again.") from error


LABELS = {"Cityscapes": CITYSCAPES, "ADE20K": ADE20K}
IMAGENET_CLASSES = 1000
Say = Callable[[str], None]


def obtain_checkpoint(
    published: PretrainedModel,
    *,
    say: Say = lambda line: None,
    progress: Progress = lambda done, size: None,
) -> Path:
    """Return galago's checkpoint of a published model.

    Downloads and converts it where it is not here.

    Args:
        say: told what the user should know: what is trusted from now on.
        progress: told about bytes.
    Raises:
        DownloadError: it cannot be had, or is not the file that it should be.
        CheckpointError: the file is damaged, wants to run code, or belongs to another network.
        MissingDependencyError: huggingface_hub is not installed.
    """
    if kept := store.kept_checkpoint(published):
        return kept
    original = store.fetch(published, progress)
    checkpoint = store.home(published) / store.CHECKPOINT
    try:
        network = convert(published, read_external_checkpoint(original.path))
    except CheckpointError:
        original.path.unlink(missing_ok=True)
        raise
    save_checkpoint(checkpoint, network, describe(published, original.sha256))
    store.keep(published, original)
    if not original.was_known:
        say(
            f"The SHA-256 of {published.repo}/{published.file} was not known: trusted on first use "
            "and recorded, "
            f"{original.sha256}. Another file will be refused."
        )
    return checkpoint


def convert(published: PretrainedModel, tensors: dict[str, Tensor]) -> nn.Module:
    """Build the network that published tensors belong to, and fill it.

    Raises:
        CheckpointError: a tensor is missing, left over or misshapen.
    """
    network: nn.Module
    if published.is_segmentation:
        network = build_model(published.variant, len(LABELS[published.data]), head=published.name)
    else:
        network = build_classifier(
            published.variant, IMAGENET_CLASSES
        )  # eps is no tensor: load_classifier sets timm's
    renamed = from_timm(tensors) if published.layout == "timm" else from_authors(tensors)
    load_tensors(network, renamed, source=f"{published.repo}/{published.file}")
    return network


def describe(published: PretrainedModel, sha256: str) -> dict[str, str]:
    """Return a checkpoint's metadata: the network, and where it is from.

    Of a segmentation network its description, too.
    """
    facts = {
        "repo": published.repo, "file": published.file, "revision": published.revision, "sha256": sha256,
        "data": published.data, "metric": published.metric, "score": published.score,
        "size": published.size, "crop": published.crop,
    }  # fmt: skip
    metadata = {"variant": published.variant, "published": json.dumps(facts)}
    if not published.is_segmentation:
        return metadata | {
            "kind": CLASSIFIER,
            "num_classes": str(IMAGENET_CLASSES),
            "layout": published.layout,
        }
    labels = LABELS[published.data]
    spec = published_spec(published, labels)
    return metadata | {
        "num_classes": str(len(labels)),
        "head": published.name,
        "spec": spec.to_json(),
    }


def published_spec(published: PretrainedModel, labels: LabelSet) -> ModelSpec:
    """Describe a segmentation network with its authors' resize rule and upsampling (as
    galago.evaluation.protocol).
    """
    stretch = published.data == "Cityscapes"
    return ModelSpec(
        name=published.name, variant=published.variant, classes=labels.names, palette=labels.palette,
        resize="stretch" if stretch else "short_side", input_size=published.size if stretch else None,
        short_side=None if stretch else published.size[0], upsampling="bicubic", licenses=published.licenses,
    )  # fmt: skip


def export_published(
    published: PretrainedModel, *, say: Say = lambda line: None, report: Say = lambda what: None
) -> Path:
    """Write the model folder of a published segmentation network into the store, as `galago.load`
    opens it; return the folder.

    Raises:
        DownloadError, CheckpointError, MissingDependencyError: as `obtain_checkpoint`.
        ModelError: the folder cannot be written, or its file does not give what the network gives.
    """
    checkpoint = obtain_checkpoint(published, say=say)
    folder = store.home(published) / store.MODEL
    export_checkpoint(
        checkpoint,
        folder,
        ExportConfig(name=published.name, licenses=published.licenses),
        report=report,
    )
    return folder
