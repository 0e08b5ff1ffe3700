"""Whether a file would overflow in float16, found in its graph on a CPU in float32."""

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import require
from galago.verification.activations import iter_litert_tensors

FLOAT16_MAX = 65504.0
# operators of ONNX whose results are computed in the precision of the file
REAL_OPERATORS = (
    *("Conv", "MatMul", "Gemm", "Mul", "Add", "Sub", "Div", "ReduceSum", "Clip", "Max", "Relu"),
    *("HardSwish", "HardSigmoid", "Sigmoid", "Gelu", "Tanh", "Resize", "DepthToSpace", "Concat"),
)
ValueReader = Callable[[Path, np.ndarray], Iterator[tuple[str, float]]]
LONGEST_PATH = 12  # operators from the first product of an attention to its projection
WEIGHT = re.compile(r"(?:network\.)?((?:backbone|head)\..+)\.weight")


def overflow(file: Path, image: np.ndarray) -> tuple[str | None, str | None]:
    """Return the first value of a graph, in order of computation, that float16 cannot represent.

    Args:
        file: .onnx, .xml with its .bin, or .tflite.
        image: (1, H, W, 3) uint8 RGB.
    Returns:
        the value and its layer, for people, None if there is none; and why it was not searched,
        None if it was.
    Raises:
        ModelError: the file cannot be read.
    """
    values, reason = _choose_reader(file)
    for name, value in values(file, image) if values else ():
        if not value <= FLOAT16_MAX:
            return (
                f"{value:.1e} in {name}, more than the {FLOAT16_MAX:,.0f} that float16 holds",
                None,
            )
    return None, reason


def _choose_reader(file: Path) -> tuple[ValueReader | None, str | None]:
    """Return what reads all values of a file, or why nothing does."""
    if file.suffix == ".tflite":
        return (
            (largest_in_litert, None)
            if find_spec("ai_edge_litert")
            else (None, "LiteRT is not installed")
        )
    if file.suffix not in (".onnx", ".xml"):
        return None, f"no engine exposes the activations of a {file.suffix} file"
    if find_spec("openvino"):
        return largest_values, None
    if file.suffix == ".onnx" and find_spec("onnx") and find_spec("onnxruntime"):
        return largest_in_onnxruntime, None
    return None, "OpenVINO is not installed (pip install openvino)"


def largest_in_onnxruntime(file: Path, image: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield the same as `largest_values` without OpenVINO, by a ReduceMax behind each operator."""
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
        # sizes are whole numbers
        if node.op_type not in REAL_OPERATORS or kinds.get(node.output[0], real[0]) not in real:
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
        names, session.run(tops, {session.get_inputs()[0].name: image}), strict=True
    ):
        yield name, float(value)


def largest_in_litert(file: Path, image: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield the same as `largest_values` for a .tflite file."""
    for name, values in iter_litert_tensors(file, image):
        if values.size and np.issubdtype(values.dtype, np.floating):
            yield name, float(np.abs(values).max())


def largest_values(file: Path, image: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield the largest absolute value of the output of each operator, in order, with the name of
    its layer.
    """
    from galago.runtime.engines.openvino import only_core, package, read_model

    openvino = package()
    steps = openvino.opset13
    model = read_model(file)
    model.reshape([*image.shape])
    outputs = [
        output
        for operator in model.get_ordered_ops()
        if operator.get_type_name() not in ("Constant", "Result", "Parameter", "ShapeOf", "Convert")
        for output in operator.outputs()
        if output.get_element_type().is_real()
        and output.partial_shape.is_static
        and len(output.shape) > 2
    ]
    names = [
        nearest_layer(output.get_node()) for output in outputs
    ]  # before the maxima become readers
    largest = []
    for output in outputs:
        axes = np.arange(len(output.shape))
        largest.append(steps.reduce_max(steps.abs(steps.convert(output, "f32")), axes, False))
    maxima = openvino.Model(largest, model.get_parameters())
    compiled = only_core().compile_model(maxima, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for name, value in zip(names, compiled([image]).to_tuple(), strict=True):
        yield name, float(value)


def nearest_layer(node: Any) -> str:
    """Return the layer whose weights a node has, or the next one that its result flows into."""
    name = str(node.friendly_name)
    for _ in range(LONGEST_PATH):
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
    """Return the layer whose weight a constant is, also behind reshapes and casts."""
    while node.get_type_name() in ("Reshape", "Convert", "Unsqueeze") and node.inputs():
        node = node.inputs()[0].get_source_output().get_node()
    found = WEIGHT.fullmatch(node.friendly_name) if node.get_type_name() == "Constant" else None
    return found[1] if found else None
