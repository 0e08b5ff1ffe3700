"""All intermediate maps of a file that have the shape of a stage, from the engines that can give
them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import ModelError, require

Shapes = Collection[tuple[int, ...]]  # (C, H, W) each
Probe = Callable[
    [Path, np.ndarray, Shapes], Iterator[np.ndarray]
]  # file, (1, H, W, 3) uint8 photo, shapes to (C, H, W) maps


def probe_openvino(file: Path, photo: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Ask OpenVINO for every operator's output."""
    from galago.runtime.engines.openvino import only_core, read_model

    model = read_model(file)
    model.reshape([*photo.shape])
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
    for values in compiled([photo]).to_tuple():
        if values.ndim == 4:
            yield values[0]


def probe_onnxruntime(file: Path, photo: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Ask ONNX Runtime for every operator's output; needs the package onnx."""
    onnx, onnxruntime = require("onnx", "export"), require("onnxruntime", "onnxruntime")
    model = onnx.load(str(file))
    for axis, side in zip(
        model.graph.input[0].type.tensor_type.shape.dim, photo.shape, strict=True
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
        onnx.ValueInfoProto(
            name=name
        )  # ONNX Runtime finds the type, and the shape that the inference above did not
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
    for values in session.run(None, {session.get_inputs()[0].name: photo}):
        if isinstance(values, np.ndarray) and values.ndim == 4 and values.shape[1:] in shapes:
            yield values[0]


def litert_tensors(file: Path, photo: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Ask LiteRT's own kernels for every tensor that has a name and memory of its own, real numbers
    for quantized ones.

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
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], photo)
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"LiteRT cannot look into {file}: {' '.join(str(error).split())}."
        ) from error
    for detail in interpreter.get_tensor_details():
        if not detail["name"]:
            continue
        try:
            yield detail["name"], _real(interpreter.get_tensor(detail["index"]), detail)
        except ValueError:  # it has no memory of its own
            continue


def probe_litert(file: Path, photo: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Ask LiteRT for every tensor of a shape; channels come last there, mostly."""
    for _, values in litert_tensors(file, photo):
        if values.ndim != 4 or values.shape[0] != 1:
            continue
        if values.shape[1:] in shapes:
            yield values[0]
        if (values.shape[3], values.shape[1], values.shape[2]) in shapes:
            yield values[0].transpose(2, 0, 1)


def _real(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Return the numbers that a quantized tensor stands for."""
    scale, zero = detail["quantization"]
    return (values.astype(np.float32) - zero) * scale if scale else values


def probe_ncnn(file: Path, photo: np.ndarray, shapes: Shapes) -> Iterator[np.ndarray]:
    """Ask ncnn for every blob."""
    from galago.runtime.engines.ncnn import INPUT, NCNNEngine

    ncnn, net = require("ncnn", "ncnn"), NCNNEngine(file).net
    rows = [line.split() for line in file.read_text().splitlines()[2:]]
    blobs = [name for row in rows for name in row[4 + int(row[2]) : 4 + int(row[2]) + int(row[3])]]
    _, height, width, _ = photo.shape
    with net.create_extractor() as extractor:
        extractor.set_light_mode(False)
        extractor.input(
            INPUT,
            ncnn.Mat.from_pixels(
                np.ascontiguousarray(photo[0]), ncnn.Mat.PixelType.PIXEL_RGB, width, height
            ),
        )
        for name in blobs:
            failed, blob = extractor.extract(name)
            values = None if failed else np.array(blob)
            if values is not None and values.ndim == 3 and values.shape in shapes:
                yield values


PROBES: Mapping[str, Probe] = {
    "openvino": probe_openvino,
    "onnxruntime": probe_onnxruntime,
    "litert": probe_litert,
    "ncnn": probe_ncnn,
}
