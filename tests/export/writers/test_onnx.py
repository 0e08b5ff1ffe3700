from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import galago
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.onnx import write_onnx
from galago.models.attention import MultiScaleAttention
from galago.models.inference import TorchEngine
from galago.runtime.engines.openvino import OpenVINOEngine
from galago.spec import ModelSpec

pytestmark = [pytest.mark.torch, pytest.mark.openvino]

# What the parser of TensorRT takes, of the operators that our files may hold:
# github.com/onnx/onnx-tensorrt, docs/operators.md for TensorRT 10.15. It has Pad and Resize, too,
# but older ones pad with zeros only, and none of them resizes bicubically.
TENSORRT = {
    "Add", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "Div", "Gelu", "HardSwish", "MatMul", "Max", "Mul", "Pow",
    "Reciprocal", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Slice", "Split", "Squeeze", "Sub", "Tanh", "Transpose",
    "Unsqueeze",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(
    random_network: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """ONNX files of b0 and b1 that take every size."""
    files = {}
    for variant in ("b0", "b1"):
        files[variant] = tmp_path_factory.mktemp(variant) / "model.onnx"
        spec = any_size(variant)
        write_onnx(DeployedNetwork(random_network(variant), spec), spec, files[variant])
    return files


def any_size(variant: str) -> ModelSpec:
    return ModelSpec(
        name="doors",
        variant=variant,
        classes=("wall", "door", "floor"),
        palette=((0, 0, 0), (9, 0, 0), (0, 0, 9)),
    )


def shape(value: Any) -> list[int | str]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    ("variant", "size"),
    [("b0", (32, 32)), ("b0", (96, 160)), ("b0", (352, 480)), ("b1", (96, 160))],
)
def test_openvino_gives_the_logits_of_torch_at_any_size(
    random_network: Callable[..., Any],
    photo: Callable[[int, int], np.ndarray],
    exported: dict[str, Path],
    variant: str,
    size: tuple[int, int],
):
    image = photo(*size)[None]
    expected = TorchEngine(random_network(variant), any_size(variant)).run(image)
    given = OpenVINOEngine(exported[variant]).run(image)
    assert given.shape == expected.shape == (1, 3, size[0] // 8, size[1] // 8)
    # the same float32 sums in another order
    assert np.linalg.norm(given - expected) / np.linalg.norm(expected) < 1e-4


def test_input_and_output_are_those_of_the_contract(exported: dict[str, Path]):
    graph = onnx.load(exported["b0"]).graph
    (image,), (logits,) = graph.input, graph.output
    assert (image.name, image.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
    assert (logits.name, logits.type.tensor_type.elem_type) == ("logits", onnx.TensorProto.FLOAT)
    assert shape(image) == [1, "height", "width", 3]
    assert shape(logits) == [1, 3, "height/8", "width/8"]


def test_no_slow_resize_and_no_norm_is_left(exported: dict[str, Path]):
    kinds = {node.op_type for node in onnx.load(exported["b0"]).graph.node}
    assert "Conv" in kinds
    assert not kinds & {"Resize", "BatchNormalization"}


def test_the_file_alone_labels_photos(
    exported: dict[str, Path], photo: Callable[[int, int], np.ndarray]
):
    segmenter = galago.load(str(exported["b0"]))
    assert segmenter.spec == any_size("b0")
    assert segmenter(photo(70, 101)).labels.shape == (70, 101)


@pytest.fixture(scope="module")
def blind(random_network: Callable[..., Any]) -> Any:
    """A network in which every query is zero, so that every denominator of the attention is eps
    alone.
    """
    network = random_network()
    for module in network.modules():
        if isinstance(module, MultiScaleAttention):
            torch.nn.init.zeros_(module.qkv.weight)
    return network


@pytest.fixture(scope="module")
def fixed(blind: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of that network that takes 64 x 96 only."""
    file = tmp_path_factory.mktemp("fixed") / "model.onnx"
    spec = replace(any_size("b0"), input_size=(64, 96), resize="stretch")
    write_onnx(DeployedNetwork(blind, spec), spec, file)
    return file


def test_a_pixel_that_is_like_no_other_stays_finite(
    blind: Any, fixed: Path, photo: Callable[[int, int], np.ndarray]
):
    image = photo(64, 96)[None]
    # ONNX optimizers drop "+ 1e-15", and 0 / 0 is nan
    np.testing.assert_allclose(
        OpenVINOEngine(fixed).run(image), TorchEngine(blind, any_size("b0")).run(image), atol=1e-4
    )


def test_a_fixed_size_is_written_into_the_file(fixed: Path):
    graph = onnx.load(fixed).graph
    assert shape(graph.input[0]) == [1, 64, 96, 3]
    assert shape(graph.output[0]) == [1, 3, 8, 12]


def test_a_file_of_fixed_size_takes_photos_of_every_size(
    fixed: Path, photo: Callable[[int, int], np.ndarray]
):
    assert galago.load(str(fixed))(photo(50, 200)).labels.shape == (50, 200)


def test_a_file_of_fixed_size_holds_only_operators_that_tensorrt_parses(fixed: Path):
    kinds = {node.op_type for node in onnx.load(fixed).graph.node}
    assert kinds <= TENSORRT
    assert not kinds & {"Pad", "Resize"}


def test_a_file_of_fixed_size_shows_uint8_to_nothing_but_a_cast(fixed: Path):
    # TensorRT: "UINT8 is only supported as network input or output tensor types"
    assert {node.op_type for node in onnx.load(fixed).graph.node if "image" in node.input} == {
        "Cast"
    }


def test_a_file_of_fixed_size_has_no_free_dimension_inside(fixed: Path):
    graph = onnx.shape_inference.infer_shapes(
        onnx.load(fixed), strict_mode=True, data_prop=True
    ).graph
    known = {value.name: shape(value) for value in [*graph.input, *graph.value_info, *graph.output]}
    assert {name for node in graph.node for name in node.output} <= known.keys()
    assert all(isinstance(side, int) and side > 0 for sides in known.values() for side in sides)


def test_a_file_of_fixed_size_keeps_the_parameters_of_its_operators_as_constants(fixed: Path):
    graph = onnx.load(fixed).graph
    constants = {tensor.name for tensor in graph.initializer}
    fed = [
        node
        for node in graph.node
        if node.op_type in ("Clip", "Conv", "ReduceSum", "Reshape", "Slice", "Split")
    ]
    assert fed
    assert all(
        name in constants for node in fed for name in node.input[1:] if name
    )  # TensorRT: "axes must be an initializer"
