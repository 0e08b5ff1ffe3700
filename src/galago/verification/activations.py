"""Activations of a file: all intermediate maps of certain shapes, from the engines that expose
them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import ModelError, require

Shapes = Collection[tuple[int, ...]]  # (C, H, W) each
# file, (1, H, W, 3) uint8 image, shapes to (C, H, W) maps
ActivationReader = Callable[[Path, np.ndarray, Shapes], Iterator[np.ndarray]]


def read_openvino(file: Path, image: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Yield the outputs of all operators in OpenVINO."""
    from galago.runtime.engines.openvino import only_core, read_model

    model = read_model(file)
    model.reshape([*image.shape])
    wanted = [
        output
        for operator in model.get_ordered_ops()
        if operator.get_type_name() not in ("Constant", "Result", "Parameter")
        for output in operator.outputs()
        if output.partial_shape.is_static
        and len(output.shape) == 4
        and tuple(output.shape)[1:] in shapes
    ]
    for output in wanted:
        model.add_outputs([(output.get_node().friendly_name, output.get_index())])
    compiled = only_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for values in compiled([image]).to_tuple():
        if values.ndim == 4:
            yield values[0]


def read_onnxruntime(file: Path, image: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Yield the outputs of all operators in ONNX Runtime; needs the package onnx."""
    onnx, onnxruntime = require("onnx", "export"), require("onnxruntime", "onnxruntime")
    model = onnx.load(str(file))
    for axis, side in zip(
        model.graph.input[0].type.tensor_type.shape.dim, image.shape, strict=True
    ):
        axis.dim_value = side
    sized = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
    shape_of = {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
        for value in sized
    }
    known = {name for name, shape in shape_of.items() if shape and all(shape)}
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(
        # ONNX Runtime infers the type, and the shape that the inference above did not
        onnx.ValueInfoProto(name=name)
        for node in model.graph.node
        for name in node.output
        if name and (shape_of[name][1:] in shapes if name in known else name not in outputs)
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for values in session.run(None, {session.get_inputs()[0].name: image}):
        if isinstance(values, np.ndarray) and values.ndim == 4 and values.shape[1:] in shapes:
            yield values[0]


def iter_litert_tensors(file: Path, image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every tensor that has a name and its own memory in LiteRT's own kernels, dequantized.

    Raises:
        ModelError: the file is damaged or takes other input.
    """
    litert: Any = require("ai_edge_litert.interpreter", "litert")
    try:
        interpreter = litert.Interpreter(
            str(file),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"LiteRT cannot look into {file}: {' '.join(str(error).split())}."
        ) from error
    for detail in interpreter.get_tensor_details():
        if not detail["name"]:
            continue
        try:
            yield detail["name"], _dequantize(interpreter.get_tensor(detail["index"]), detail)
        except ValueError:  # it has no memory of its own
            continue


def read_litert(file: Path, image: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Yield the tensors of LiteRT, whose channels mostly come last."""
    for _, values in iter_litert_tensors(file, image):
        if values.ndim != 4 or values.shape[0] != 1:
            continue
        if values.shape[1:] in shapes:
            yield values[0]
        if (values.shape[3], values.shape[1], values.shape[2]) in shapes:
            yield values[0].transpose(2, 0, 1)


def _dequantize(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Return a quantized tensor as real numbers."""
    scale, zero = detail["quantization"]
    return (values.astype(np.float32) - zero) * scale if scale else values


def read_ncnn(file: Path, image: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Yield the blobs of ncnn."""
    from galago.runtime.engines.ncnn import INPUT, NCNNEngine

    ncnn, net = require("ncnn", "ncnn"), NCNNEngine(file).net
    rows = [line.split() for line in file.read_text().splitlines()[2:]]
    blobs = [name for row in rows for name in row[4 + int(row[2]) : 4 + int(row[2]) + int(row[3])]]
    _, height, width, _ = image.shape
    with net.create_extractor() as extractor:
        extractor.set_light_mode(False)
        extractor.input(
            INPUT,
            ncnn.Mat.from_pixels(
                np.ascontiguousarray(image[0]), ncnn.Mat.PixelType.PIXEL_RGB, width, height
            ),
        )
        for name in blobs:
            failed, blob = extractor.extract(name)
            values = None if failed else np.array(blob)
            if values is not None and values.ndim == 3 and values.shape in shapes:
                yield values


ACTIVATION_READERS: Mapping[str, ActivationReader] = {
    "openvino": read_openvino,
    "onnxruntime": read_onnxruntime,
    "litert": read_litert,
    "ncnn": read_ncnn,
}
