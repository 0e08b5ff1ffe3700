"""The file formats that galago exports: one row, one writer each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from galago.errors import ConfigError
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.coreml import write_coreml
from galago.export.writers.executorch import write_executorch
from galago.export.writers.litert import write_litert
from galago.export.writers.ncnn import write_ncnn
from galago.export.writers.onnx import write_onnx
from galago.export.writers.openvino import write_openvino
from galago.export.writers.torch import write_torch
from galago.spec import ModelSpec


@dataclass(frozen=True)
class Writer:
    """How a deployed network becomes the files of one format.

    Attributes:
        files: what is written, the one that an engine opens first.
        write: takes the network, its spec, and the path of the first file.
        precisions: those that it supports.
        outputs: what the file can give.
        one_size: whether a file takes one size of input only.
    """

    files: tuple[str, ...]
    write: Callable[[DeployedNetwork, ModelSpec, Path], None]
    precisions: tuple[str, ...] = ("float32",)
    outputs: tuple[str, ...] = ("logits",)
    one_size: bool = False


ALL = ("float32", "float16", "int8")
BOTH = ("logits", "labels")
WRITERS: Mapping[str, Writer] = {
    "onnx": Writer(("model.onnx",), write_onnx, ALL, BOTH),
    "openvino": Writer(("model.xml", "model.bin"), write_openvino, ALL, BOTH),
    "litert": Writer(("model.tflite",), write_litert, ALL, BOTH, one_size=True),
    "ncnn": Writer(("model.ncnn.param", "model.ncnn.bin"), write_ncnn),
    "executorch": Writer(("model.pte",), write_executorch, outputs=BOTH, one_size=True),
    "coreml": Writer(("model.mlpackage",), write_coreml, ("float32", "float16"), one_size=True),
    "torch": Writer(("model.pt2",), write_torch, outputs=BOTH),
}
_TENSORRT = "TensorRT reads the ONNX file: --format onnx --imgsz H W; see docs/how-to/tensorrt.md."
OTHER_NAMES = {  # what people type, and what to do
    "tensorrt": _TENSORRT,
    "engine": _TENSORRT,
    "tflite": "LiteRT is TensorFlow Lite's new name: --format litert.",
    "torchscript": "torch.export took its place: --format torch.",
    "pt2": "Say --format torch.",
    "xml": "Say --format openvino.",
    "authors": "It is a checkpoint and stands alone: galago export --format authors.",
}


def check_formats(names: list[str], spec: ModelSpec) -> None:
    """Refuse formats that galago does not write, or not in this precision or with this output.

    Raises:
        ConfigError: a format is refused; the message says what is possible.
    """
    if (spec.precision, spec.output) == ("int8", "labels"):
        raise ConfigError(
            "int8 files give logits, as their loss is measured on them. Leave --output labels out."
        )
    for name in names:
        if name not in WRITERS:
            hint = OTHER_NAMES.get(name, f"Choose from: {', '.join(WRITERS)}.")
            raise ConfigError(f"Unknown format {name!r}. {hint}")
        if spec.precision not in WRITERS[name].precisions:
            able = [other for other, row in WRITERS.items() if spec.precision in row.precisions]
            raise _unsupported(name, f"precision {spec.precision}", able)
        if spec.output not in WRITERS[name].outputs:
            able = [other for other, row in WRITERS.items() if spec.output in row.outputs]
            raise _unsupported(name, f"output {spec.output}", able)


def _unsupported(name: str, what: str, able: list[str]) -> ConfigError:
    return ConfigError(f"{name} files do not support {what}. Formats that do: {', '.join(able)}.")
