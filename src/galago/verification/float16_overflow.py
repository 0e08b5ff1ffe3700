"""Would a file overflow in float16? Asked of its graph on a CPU, which itself computes in float32."""

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import require
from galago.verification.activations import litert_tensors

FLOAT16_MAX = 65504.0
REAL = (  # operators of ONNX whose results are computed in the precision of the file
    "Conv", "MatMul", "Gemm", "Mul", "Add", "Sub", "Div", "ReduceSum", "Clip", "Max", "Relu",
    "HardSwish", "HardSigmoid", "Sigmoid", "Gelu", "Tanh", "Resize", "DepthToSpace", "Concat",
)  # fmt: skip
Values = Callable[[Path, np.ndarray], Iterator[tuple[str, float]]]
LONGEST_WAY = 12  # operators from the first product of an attention to its projection
WEIGHT = re.compile(r"(?:network\.)?((?:backbone|head)\..+)\.weight")


def overflow(file: Path, photo: np.ndarray) -> tuple[str | None, str | None]:
    """Say which value of a graph would be infinite in float16, the first in order of computation.

    Args:
        file: .onnx, .xml with its .bin, or .tflite.
        photo: (1, H, W, 3) uint8 RGB.
    Returns:
        the value, in words, None where there is none; and why it was not looked for, None where it
        was.
    Raises:
        ModelError: the file cannot be read.
    """
    values, reason = reader(file)
    for name, value in values(file, photo) if values else ():
        if not value <= FLOAT16_MAX:
            return (
                f"{value:.1e} in {name}, more than the {FLOAT16_MAX:,.0f} that float16 holds",
                None,
            )
    return None, reason


def reader(file: Path) -> tuple[Values | None, str | None]:
    """Return what tells all values of a file, or what has to be installed for that."""
    if file.suffix == ".tflite":
        return (
            (largest_in_litert, None)
            if find_spec("ai_edge_litert")
            else (None, "LiteRT is not installed")
        )
    if file.suffix not in (".onnx", ".xml"):
        return None, f"nothing here shows what is computed inside a {file.suffix} file"
    if find_spec("openvino"):
        return largest_values, None
    if file.suffix == ".onnx" and find_spec("onnx") and find_spec("onnxruntime"):
        return largest_in_onnxruntime, None
    return None, "OpenVINO is not installed (pip install openvino)"


def largest_in_onnxruntime(file: Path, photo: np.ndarray) -> Iterator[tuple[str, float]]:
    """As `largest_values`, where there is no OpenVINO: by a ReduceMax behind each operator of an
    ONNX file.
    """
    onnx, onnxruntime = require("onnx", "export"), require("onnxruntime", "onnxruntime")
    model = onnx.load(str(file))
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in [*inferred.value_info, *inferred.output]
    }
    real = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    names = []
    for node in list(model.graph.node):
        if (
            node.op_type not in REAL or kinds.get(node.output[0], real[0]) not in real
        ):  # sizes are whole numbers
            continue
        weight = next((found[1] for name in node.input if (found := WEIGHT.fullmatch(name))), None)
        for value in node.output[:1]:
            single, size, top = f"{value}:single", f"{value}:size", f"{value}:largest"
            steps = (("Cast", value, single), ("Abs", single, size), ("ReduceMax", size, top))
            for kind, given, made in steps:
                settings = {
                    "Cast": {"to": onnx.TensorProto.FLOAT},
                    "ReduceMax": {"keepdims": 0},
                }.get(kind, {})
                model.graph.node.append(onnx.helper.make_node(kind, [given], [made], **settings))
            model.graph.output.append(onnx.ValueInfoProto(name=top))
            names.append(weight or value)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    tops = [value.name for value in session.get_outputs()][-len(names) :]
    for name, value in zip(
        names, session.run(tops, {session.get_inputs()[0].name: photo}), strict=True
    ):
        yield name, float(value)


def largest_in_litert(file: Path, photo: np.ndarray) -> Iterator[tuple[str, float]]:
    """As `largest_values`, of a .tflite file."""
    for name, values in litert_tensors(file, photo):
        if values.size and np.issubdtype(values.dtype, np.floating):
            yield name, float(np.abs(values).max())


def largest_values(file: Path, photo: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield the largest absolute value of what each operator gives, in order, with a name for where
    it stands.
    """
    from galago.runtime.engines.openvino import only_core, package, read_model

    openvino = package()
    steps = openvino.opset13
    model = read_model(file)
    model.reshape([*photo.shape])
    outputs = [
        output
        for operator in model.get_ordered_ops()
        if operator.get_type_name() not in ("Constant", "Result", "Parameter", "ShapeOf", "Convert")
        for output in operator.outputs()
        if output.get_element_type().is_real()
        and output.partial_shape.is_static
        and len(output.shape) > 2
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
        owners = [
            owner
            for entry in node.inputs()
            if (owner := weight_of(entry.get_source_output().get_node()))
        ]
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
