"""What a model file contains, read from the file itself: the precision of its weights, its input
size, its own description.
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from galago.errors import ModelError, require
from galago.runtime.engines.table import ENGINES
from galago.runtime.model_folder import METADATA_KEY
from galago.runtime.onnx_metadata import onnx_input_size, onnx_weights, read_metadata
from galago.spec import ModelSpec

FLOAT32_ONLY = (".param", ".pte", ".pt2")  # formats that galago writes in float32 and nothing else
# share of the weights in int8, from which on a file is int8; blocks may stay in float
INT8_SHARE = 0.05
IR_PRECISIONS = {"f32": "float32", "f16": "float16", "i8": "int8", "u8": "int8"}
TFLITE_PRECISIONS = {"float32": "float32", "float16": "float16", "int8": "int8"}


def precision_of(file: Path) -> str | None:
    """Return the precision of a file's weights: float32, float16 or int8.

    None if the file does not say.

    Raises:
        ModelError: the file is damaged.
    """
    if file.suffix in FLOAT32_ONLY:
        return "float32"
    weights: Counter[str] = Counter()
    if file.suffix == ".onnx":
        weights = onnx_weights(file)
    elif file.suffix == ".xml":
        for data in _ir_layers(file, "Const"):
            shape = _ir_shape(data)
            if len(shape) >= 4 and (kind := IR_PRECISIONS.get(data.get("element_type", ""))):
                weights[kind] += math.prod(shape)
    elif file.suffix == ".tflite":
        weights = _tflite_weights(file)
    return main_precision(weights)


def main_precision(weights: Counter[str]) -> str | None:
    """Return the precision of a file from the number of weights in each; None if it has none."""
    if not weights:
        return None
    if weights["int8"] > INT8_SHARE * weights.total():
        return "int8"
    return "float16" if weights["float16"] > weights["float32"] else "float32"


def fixed_size_of(file: Path) -> tuple[int, int] | None:
    """Return the one (height, width) that an .onnx or .xml file takes, None if it takes any.

    Raises:
        ModelError: the file is damaged.
    """
    if file.suffix == ".onnx":
        return onnx_input_size(file)
    (shape, *_) = [_ir_shape(data) for data in _ir_layers(file, "Parameter")] or [()]
    return (shape[1], shape[2]) if len(shape) == 4 and min(shape) > 0 else None


def tells_size(file: Path) -> bool:
    """Return whether `fixed_size_of` can read a file."""
    return file.suffix in (".onnx", ".xml")


def own_description(file: Path) -> ModelSpec | None:
    """Return the description inside an .onnx file, None if there is none.

    Raises:
        ModelError: it is damaged.
    """
    text = read_metadata(file, METADATA_KEY) if file.suffix == ".onnx" else None
    return None if text is None else ModelSpec.from_json(text)


def _ir_layers(file: Path, kind: str) -> list[dict[str, str]]:
    """Return the data of all layers of one kind in an OpenVINO IR."""
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{file} is no whole OpenVINO IR file. Copy it again, or export it again."
        ) from error
    layers = [layer for layer in root.iter("layer") if layer.get("type") == kind]
    return [data.attrib for layer in layers if (data := layer.find("data")) is not None]


def _ir_shape(data: dict[str, str]) -> tuple[int, ...]:
    """Return a shape of an IR, -1 for a free side."""
    sides = [side.strip() for side in data.get("shape", "").split(",") if side.strip()]
    return tuple(int(side) if side.isdecimal() else -1 for side in sides)


def _tflite_weights(file: Path) -> Counter[str]:
    """Return the number of weights of a .tflite file by precision; none without LiteRT."""
    from importlib.util import find_spec

    weights: Counter[str] = Counter()
    if find_spec(ENGINES["litert"].package) is None:
        return weights
    litert: Any = require("ai_edge_litert.interpreter", "litert")
    try:
        # without delegates, which print messages on the terminal
        plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        details = litert.Interpreter(
            str(file), experimental_op_resolver_type=plain
        ).get_tensor_details()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{file} is no whole LiteRT file. Copy it again, or export it again."
        ) from error
    for detail in details:
        kind = TFLITE_PRECISIONS.get(getattr(detail["dtype"], "__name__", ""))
        if kind and len(detail["shape"]) == 4:
            weights[kind] += math.prod(map(int, detail["shape"]))
    if weights["float16"]:  # what is cast and computed from them is float32, and is listed, too
        del weights["float32"]
    return weights
