"""Conversion of a published file to galago's checkpoint and model folder, once: afterwards neither
network nor pickle is needed.
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
from galago.pretrained import cache
from galago.pretrained.download import OnProgress
from galago.pretrained.table import PretrainedModel
from galago.spec import ModelSpec


def read_external_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `.safetensors` file or of a pickled checkpoint, without the wrapping
    `state_dict` and the prefix `module.`.

    Raises:
        CheckpointError: the file is damaged, has no tensors, or would run code.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    content = _read_pickle(path)
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
    # the prefix is that of DataParallel
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _read_pickle(path: Path) -> object:
    """Return a pickle of plain values and tensors; any other is refused before its code runs.

    Raises:
        CheckpointError: the pickle names something else, or the file is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols that torch does not write
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path} is a pickle that wants to run {named[1]}. Nothing of it was run. A "
                "checkpoint needs only tensors: get the file from its authors again, or do not use it."
            ) from error
        raise CheckpointError(f"{path} is damaged or no checkpoint. Get it again.") from error


LABELS = {"Cityscapes": CITYSCAPES, "ADE20K": ADE20K}
IMAGENET_CLASSES = 1000
OnLine = Callable[[str], None]


def obtain_checkpoint(
    published: PretrainedModel,
    *,
    on_notice: OnLine = lambda line: None,
    on_progress: OnProgress = lambda done, size: None,
) -> Path:
    """Return galago's checkpoint of a published model, which is downloaded and converted once.

    Args:
        published: the model.
        on_notice: called with what the user should know: which file is trusted from now on.
        on_progress: called with the bytes on this machine and in all.
    Raises:
        DownloadError: it cannot be downloaded, or is not the published file.
        CheckpointError: the file is damaged, would run code, or belongs to another network.
        MissingDependencyError: huggingface_hub is not installed.
    """
    if kept := cache.cached_checkpoint(published):
        return kept
    downloaded = cache.fetch(published, on_progress)
    checkpoint = cache.model_dir(published) / cache.CHECKPOINT
    try:
        network = build_network(published, read_external_checkpoint(downloaded.path))
    except CheckpointError:
        downloaded.path.unlink(missing_ok=True)
        raise
    save_checkpoint(checkpoint, network, _metadata(published, downloaded.sha256))
    cache.record_trusted(published, downloaded)
    if not downloaded.was_trusted:
        on_notice(
            f"The SHA-256 of {published.repo}/{published.file} was not known: trusted on first use "
            f"and recorded, {downloaded.sha256}. Another file will be refused."
        )
    return checkpoint


def build_network(published: PretrainedModel, tensors: dict[str, Tensor]) -> nn.Module:
    """Return the network that published tensors belong to, with these tensors.

    Raises:
        CheckpointError: a tensor is missing, left over or misshapen.
    """
    network: nn.Module
    if published.is_segmentation:
        network = build_model(published.variant, len(LABELS[published.data]), head=published.name)
    else:
        # eps is no tensor: load_classifier sets timm's
        network = build_classifier(published.variant, IMAGENET_CLASSES)
    renamed = from_timm(tensors) if published.layout == "timm" else from_authors(tensors)
    load_tensors(network, renamed, source=f"{published.repo}/{published.file}")
    return network


def _metadata(published: PretrainedModel, sha256: str) -> dict[str, str]:
    """Return a checkpoint's metadata: the network, its source, and of a segmentation network the
    model description.
    """
    source = {
        "repo": published.repo,
        "file": published.file,
        "revision": published.revision,
        "sha256": sha256,
        "data": published.data,
        "metric": published.metric,
        "score": published.score,
        "size": published.size,
        "crop": published.crop,
    }
    metadata = {"variant": published.variant, "published": json.dumps(source)}
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


def published_spec(published: PretrainedModel, label_set: LabelSet) -> ModelSpec:
    """Return the description of a segmentation network, with its authors' resize rule and upsampling
    (see galago.evaluation.protocol).
    """
    stretch = published.data == "Cityscapes"
    return ModelSpec(
        name=published.name,
        variant=published.variant,
        classes=label_set.names,
        palette=label_set.palette,
        resize="stretch" if stretch else "short_side",
        input_size=published.size if stretch else None,
        short_side=None if stretch else published.size[0],
        upsampling="bicubic",
        licenses=published.licenses,
    )


def export_published(
    published: PretrainedModel,
    *,
    on_notice: OnLine = lambda line: None,
    on_step: OnLine = lambda line: None,
) -> Path:
    """Write the model folder of a published segmentation network into the cache; return the folder.

    Args:
        published: the model.
        on_notice: called with what the user should know: which file is trusted from now on.
        on_step: called with a line on each step.
    Raises:
        DownloadError, CheckpointError, MissingDependencyError: see `obtain_checkpoint`.
        ModelError: the folder cannot be written, or its file does not give what the network gives.
    """
    checkpoint = obtain_checkpoint(published, on_notice=on_notice)
    folder = cache.model_dir(published) / cache.MODEL
    export_checkpoint(
        checkpoint,
        folder,
        ExportConfig(name=published.name, licenses=published.licenses),
        on_step=on_step,
    )
    return folder
