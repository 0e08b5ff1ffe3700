"""The file formats that galago exports: one row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from galago.errors import ConfigError
from galago.export.writers.coreml import to_coreml
from galago.export.writers.executorch import to_executorch
from galago.export.writers.litert import to_litert
from galago.export.writers.ncnn import to_ncnn
from galago.export.writers.onnx import to_onnx
from galago.export.writers.openvino import to_openvino
from galago.export.writers.torch import to_torch
from galago.spec import ModelSpec


@dataclass(frozen=True)
class Format:
    """How a network becomes a file.

    Attributes:
        files: what is written, the one that an engine opens first.
        write: network, description and path of the first file.
        precisions: those that it has.
        outputs: what the file can give.
        one_size: whether a file takes one size of input only.
    """

    files: tuple[str, ...]
    write: Callable[[nn.Module, ModelSpec, Path], None]
    precisions: tuple[str, ...] = ("float32",)
    outputs: tuple[str, ...] = ("logits",)
    one_size: bool = False


ALL = ("float32", "float16", "int8")
BOTH = ("logits", "labels")
FORMATS: Mapping[str, Format] = {
    "onnx": Format(("model.onnx",), to_onnx, ALL, BOTH),
    "openvino": Format(("model.xml", "model.bin"), to_openvino, ALL, BOTH),
    "litert": Format(("model.tflite",), to_litert, ALL, BOTH, one_size=True),
    "ncnn": Format(("model.ncnn.param", "model.ncnn.bin"), to_ncnn),
    "executorch": Format(("model.pte",), to_executorch, outputs=BOTH, one_size=True),
    "coreml": Format(("model.mlpackage",), to_coreml, ("float32", "float16"), one_size=True),
    "torch": Format(("model.pt2",), to_torch, outputs=BOTH),
}
OTHER_NAMES = {  # what people type, and what to do
    "tensorrt": "TensorRT reads the ONNX file: --format onnx --imgsz H W; see docs/how-to/tensorrt.md.",
    "engine": "TensorRT reads the ONNX file: --format onnx --imgsz H W; see docs/how-to/tensorrt.md.",
    "tflite": "LiteRT is TensorFlow Lite's new name: --format litert.",
    "torchscript": "torch.export took its place: --format torch.",
    "pt2": "Say --format torch.",
    "xml": "Say --format openvino.",
    "authors": "It is a checkpoint and stands alone: galago export --format authors.",
}


def check_formats(names: list[str], spec: ModelSpec) -> None:
    """Refuse formats that galago does not write, or not in this precision or with this output.

    Raises:
        ConfigError: it is so; the message says what can be done.
    """
    if (spec.precision, spec.output) == ("int8", "labels"):
        raise ConfigError(
            "int8 files give logits, as their loss is measured on them. Leave --output labels out."
        )
    for name in names:
        if name not in FORMATS:
            hint = OTHER_NAMES.get(name, f"Choose from: {', '.join(FORMATS)}.")
            raise ConfigError(f"Unknown format {name!r}. {hint}")
        for wanted, has, what in (
            (spec.precision, FORMATS[name].precisions, "precision"),
            (spec.output, FORMATS[name].outputs, "output"),
        ):
            if wanted not in has:
                able = [
                    other
                    for other, row in FORMATS.items()
                    if wanted in (row.precisions if what == "precision" else row.outputs)
                ]
                raise ConfigError(
                    f"{name} files have no {what} {wanted} here. Those that do: {', '.join(able)}."
                )
