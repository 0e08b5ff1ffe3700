"""Checkpoints: save, load, and the key tables for the authors' and timm's weights."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from galago._core.atomic_io import write_whole
from galago._core.printable import printable
from galago._core.utf8_path import is_utf8, not_utf8_message
from galago.errors import CheckpointError, ConfigError
from galago.models.attention import set_attention
from galago.models.backbone import Backbone
from galago.models.efficientvit import (
    EfficientViTCls,
    EfficientViTSeg,
    build_classifier,
    build_model,
)

LONGEST_REASON = 300  # characters of what safetensors says
CLASSIFIER = "classifier"  # the kind in a checkpoint's metadata; segmentation networks have none
# of attention and of the norm after the head's convolution in timm's networks
# (tests/golden/README.md)
TIMM_EPS = 1e-5

_Pattern = tuple[str, str | Callable[[re.Match[str]], str]]

# Each layout's names become ours by replacing these patterns in order. Sources: the authors' names
# as in github.com/mit-han-lab/efficientvit, timm's as in huggingface/pytorch-image-models,
# models/efficientvit_mit.py.
_BLOCKS: tuple[_Pattern, ...] = (
    (r"\.inverted_conv\.", ".expand."),
    (r"\.depth_conv\.", ".depth."),
    (r"\.point_conv\.", ".point."),
    (r"\.spatial_conv\.", ".spatial."),
    (r"\.context_module\.main\.qkv\.conv\.", ".attention.qkv."),
    (r"\.context_module\.main\.aggreg\.(\d+)\.0\.", r".attention.aggregate.\1.depth."),
    (r"\.context_module\.main\.aggreg\.(\d+)\.1\.", r".attention.aggregate.\1.group."),
    (r"\.context_module\.main\.proj\.", ".attention.project."),
    (r"\.local_module\.main\.", ".local."),
    (r"\.main\.", "."),
)
_AUTHORS: tuple[_Pattern, ...] = (
    (r"^head\.op_list\.0\.", "head.features."),  # classification
    (r"^head\.op_list\.2\.linear\.", "head.hidden."),
    (r"^head\.op_list\.2\.norm\.", "head.norm."),
    (r"^head\.op_list\.3\.linear\.", "head.classify."),
    (r"^head\.input_ops\.(\d)\.(?:op_list\.0\.)?", r"head.inputs.\1."),  # segmentation
    (r"^head\.middle\.op_list\.", "head.middle."),
    (r"\.op_list\.", "."),
)
_TIMM: tuple[_Pattern, ...] = (
    (r"^stem\.in_conv\.", "backbone.stages.0.0."),
    (r"^stem\.res(\d+)\.", lambda match: f"backbone.stages.0.{int(match[1]) + 1}."),
    (r"^stages\.(\d)\.blocks\.", lambda match: f"backbone.stages.{int(match[1]) + 1}."),
    (r"^head\.in_conv\.", "head.features."),
    (r"^head\.classifier\.0\.", "head.hidden."),
    (r"^head\.classifier\.1\.", "head.norm."),
    (r"^head\.classifier\.4\.", "head.classify."),
)


# Ours become the authors' again.
_TO_AUTHORS: tuple[_Pattern, ...] = (
    (r"\.attention\.qkv\.", ".context_module.main.qkv.conv."),
    (r"\.attention\.aggregate\.(\d+)\.depth\.", r".context_module.main.aggreg.\1.0."),
    (r"\.attention\.aggregate\.(\d+)\.group\.", r".context_module.main.aggreg.\1.1."),
    (r"\.attention\.project\.", ".context_module.main.proj."),
    (r"\.local\.", ".local_module.main."),
    (
        r"^((?:backbone\.stages\.\d|head\.middle)\.\d+)\.(expand|depth|point|spatial|conv1|conv2)\.",
        r"\1.main.\2.",
    ),
    (r"\.main\.expand\.", ".main.inverted_conv."),
    (r"\.main\.(depth|point|spatial)\.", r".main.\1_conv."),
    (r"^(backbone\.stages\.\d|head\.middle)\.", r"\1.op_list."),
    (r"^head\.inputs\.([01])\.", r"head.input_ops.\1.op_list.0."),  # those that are upsampled
    (r"^head\.inputs\.2\.", "head.input_ops.2."),
    (r"^head\.expand\.", "head.output_ops.0.op_list.0."),
    (r"^head\.features\.", "head.op_list.0."),  # classification
    (r"^head\.hidden\.", "head.op_list.2.linear."),
    (r"^head\.norm\.", "head.op_list.2.norm."),
)


def save_checkpoint(path: Path, network: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write a network's tensors as safetensors, whole or not at all.

    Args:
        path: file to write; its folder is made.
        network: whose state dict is kept, batch counters included.
        metadata: strings kept beside the tensors; `load_checkpoint` needs `variant`, `num_classes`
            and `head`.
    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors = {
        name: tensor.detach().contiguous().clone() for name, tensor in network.state_dict().items()
    }
    save_tensors(path, tensors, metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors as safetensors, whole or not at all.

    Raises:
        CheckpointError: the file cannot be written.
    """
    try:
        write_whole(
            path, safetensors.torch.save(dict(tensors), metadata=dict(metadata)), lasting=True
        )
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(
            f"Cannot write the checkpoint {path}: {reason}. Free space or choose another folder."
        ) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a safetensors file.

    Raises:
        CheckpointError: the file is missing, cut short or not safetensors.
    """
    return _read(path, tensors=True)


def read_metadata(path: Path) -> dict[str, str]:
    """Read only the metadata of a safetensors file.

    Raises:
        CheckpointError: the file is missing, cut short or not safetensors.
    """
    return _read(path, tensors=False)[1]


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(
            f"There is no checkpoint at {path}. Training writes them as runs/NAME/best.safetensors."
        )
    if not is_utf8(path):
        raise CheckpointError(not_utf8_message(path, "safetensors"))
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys() if tensors else []
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({printable(error)[:LONGEST_REASON]}). "
            "Copy it again, or use another checkpoint of the run."
        ) from error


def load_checkpoint(path: Path) -> tuple[EfficientViTSeg, dict[str, str]]:
    """Return the segmentation network that `save_checkpoint` wrote, in eval mode, with its metadata.

    Raises:
        CheckpointError: the file is damaged, has no architecture metadata, or its tensors do not
            fit that network.
    """
    tensors, metadata = read_tensors(path)
    with _architecture_metadata(path):
        network = build_model(
            metadata["variant"], _count_classes(tensors, metadata), head=metadata["head"]
        )
    load_tensors(network, tensors, source=str(path))
    return network.eval(), metadata


def load_classifier(path: Path) -> tuple[EfficientViTCls, dict[str, str]]:
    """Return a classification network that `galago models get` or training wrote, in eval mode,
    with its metadata.

    Raises:
        CheckpointError: the file is damaged, or holds another kind of network.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("kind") != CLASSIFIER:
        raise CheckpointError(
            f"{path} holds no classification network. `galago models` lists some."
        )
    timm = metadata.get("layout") == "timm"
    with _architecture_metadata(path):
        classes = _count_classes(tensors, metadata)
        network = build_classifier(
            metadata["variant"], classes, head_conv_eps=TIMM_EPS if timm else None
        )
    if timm:
        set_attention(network, eps=TIMM_EPS)
    load_tensors(network, tensors, source=str(path))
    return network.eval(), metadata


@contextmanager
def _architecture_metadata(path: Path) -> Iterator[None]:
    """Turn errors about a checkpoint's architecture metadata into one line.

    Raises:
        CheckpointError: the metadata is missing or wrong.
    """
    try:
        yield
    except (KeyError, ValueError, ConfigError) as error:
        raise CheckpointError(
            f"{path} has no valid architecture metadata ({error}). Use a checkpoint that `galago "
            "train` wrote."
        ) from error


def _count_classes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Return the number of classes in a checkpoint's metadata, which has to be that of its tensors.

    A network is built with this number before its tensors are compared, so a wrong one could fill
    the memory.

    Raises:
        KeyError, ValueError: it is missing, or not that of the classifier's bias.
    """
    num_classes = int(metadata["num_classes"])
    bias = tensors.get("head.classify.bias")
    if bias is None:
        raise ValueError("missing head.classify.bias")
    if tuple(bias.shape) != (num_classes,):
        raise ValueError(
            f"head.classify.bias has shape {tuple(bias.shape)} instead of ({num_classes},)"
        )
    return num_classes


def load_backbone(path: Path) -> Backbone:
    """Return the backbone of a checkpoint, in eval mode: features at five scales, for any other
    task.

    Args:
        path: of a segmentation or a classification network.
    Raises:
        CheckpointError: the file is damaged, or has no architecture metadata.
    """
    is_classifier = read_metadata(path).get("kind") == CLASSIFIER
    return load_classifier(path)[0].backbone if is_classifier else load_checkpoint(path)[0].backbone


def load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Copy named tensors into a network, each exactly once.

    Raises:
        CheckpointError: a tensor is missing, left over or misshapen; the message names it.
    """
    own = network.state_dict()
    problems = [f"missing {name}" for name in own if name not in tensors]
    problems += [f"left over {name}" for name in tensors if name not in own]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (
            f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        )
        raise CheckpointError(
            f"The tensors of {source} do not fit the network: {shown}. Choose the variant and head "
            "they were made for."
        )
    network.load_state_dict(dict(tensors))


def from_authors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an authors' checkpoint to ours.

    Raises:
        CheckpointError: two names become the same.
    """
    # b networks; l counts the stem as stage 0
    has_stem = any(name.startswith("backbone.input_stem.") for name in tensors)
    # after the wider last layer, where there is one
    classify = 1 if "head.output_ops.0.op_list.1.conv.weight" in tensors else 0
    layout: tuple[_Pattern, ...] = (
        (r"^backbone\.stages\.(\d)", lambda match: f"backbone.stages.{int(match[1]) + has_stem}"),
        (r"^backbone\.input_stem\.", "backbone.stages.0."),
        (rf"^head\.output_ops\.0\.op_list\.{classify}\.conv\.", "head.classify."),
        (r"^head\.output_ops\.0\.op_list\.0\.", "head.expand."),
    )
    return _rename(tensors, layout + _AUTHORS + _BLOCKS)


def to_authors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of one of our networks to the authors' names: the inverse of
    `from_authors`.

    Raises:
        CheckpointError: two names become the same.
    """
    classify = "head.output_ops.0.op_list.0.conv."
    if "head.features.conv.weight" in tensors:
        classify = "head.op_list.3.linear."
    elif "head.expand.conv.weight" in tensors:
        classify = "head.output_ops.0.op_list.1.conv."
    layout: tuple[_Pattern, ...] = ((r"^head\.classify\.", classify),)
    if "backbone.stages.0.1.depth.conv.weight" in tensors:  # b networks, whose stem is no stage
        layout += (
            (r"^backbone\.stages\.0\.", "backbone.input_stem."),
            (r"^backbone\.stages\.(\d)", lambda match: f"backbone.stages.{int(match[1]) - 1}"),
        )
    return _rename(tensors, _TO_AUTHORS + layout)


def from_timm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a timm classifier to ours; some eps of it are `TIMM_EPS`.

    Raises:
        CheckpointError: two names become the same.
    """
    return _rename(tensors, _TIMM + _BLOCKS)


def _rename(tensors: Mapping[str, Tensor], patterns: tuple[_Pattern, ...]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        new_name = name
        for pattern, replacement in patterns:
            new_name = re.sub(pattern, replacement, new_name)
        if new_name in renamed:
            raise CheckpointError(
                f"Two tensors of the checkpoint become {new_name}, the second of them {name}. Its "
                "layout is unknown."
            )
        renamed[new_name] = tensor
    return renamed
