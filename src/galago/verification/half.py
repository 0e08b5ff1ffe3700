"""Would a file overflow in float16? Asked of its graph on a CPU, which itself computes in float32."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FLOAT16_MAX = 65504.0
LONGEST_WAY = 12  # operators from the first product of an attention to its projection
WEIGHT = re.compile(r"(?:network\.)?((?:backbone|head)\..+)\.weight")


def overflow(file: Path, photo: np.ndarray) -> str | None:
    """Say which value of a graph would be infinite in float16, the first in order of computation; None where none would.

    Args:
        file: .onnx, or .xml with its .bin.
        photo: (1, H, W, 3) uint8 RGB.
    Raises:
        ModelError: OpenVINO cannot read the file.
    """
    for name, value in largest_values(file, photo):
        if not value <= FLOAT16_MAX:
            return f"{value:.1e} in {name}, more than the {FLOAT16_MAX:,.0f} that float16 holds"
    return None


def largest_values(file: Path, photo: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield the largest absolute value of what each operator gives, in order, with a name for where it stands."""
    from galago.runtime.openvino_engine import only_core, package, read_model

    openvino = package()
    steps = openvino.opset13
    model = read_model(file)
    model.reshape([*photo.shape])
    outputs = [
        output
        for operator in model.get_ordered_ops()
        if operator.get_type_name() not in ("Constant", "Result", "Parameter", "ShapeOf", "Convert")
        for output in operator.outputs()
        if output.get_element_type().is_real() and output.partial_shape.is_static and len(output.shape) > 2
    ]
    names = [where(output.get_node()) for output in outputs]  # before the probes become readers
    largest = []
    for output in outputs:
        axes = np.arange(len(output.shape))
        largest.append(steps.reduce_max(steps.abs(steps.convert(output, "f32")), axes, False))
    probe = openvino.Model(largest, model.get_parameters())
    compiled = only_core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for name, value in zip(names, compiled([photo]).to_tuple(), strict=True):
        yield name, float(value)


def where(node: Any) -> str:
    """Name a node by the layer whose weights it has, or by the one that its result flows into."""
    name = str(node.friendly_name)
    for _ in range(LONGEST_WAY):
        owners = [owner for entry in node.inputs() if (owner := weight_of(entry.get_source_output().get_node()))]
        if owners:
            return owners[0] if node.friendly_name == name else f"{name}, before {owners[0]}"
        readers = [reader for output in node.outputs() for reader in output.get_target_inputs()]
        if not readers:
            break
        node = readers[0].get_node()
    return name


def weight_of(node: Any) -> str | None:
    """Return the layer whose weight a constant is, read through reshapes and casts."""
    while node.get_type_name() in ("Reshape", "Convert", "Unsqueeze") and node.inputs():
        node = node.inputs()[0].get_source_output().get_node()
    found = WEIGHT.fullmatch(node.friendly_name) if node.get_type_name() == "Constant" else None
    return found[1] if found else None
