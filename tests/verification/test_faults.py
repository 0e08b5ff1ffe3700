"""Faults that people ship, planted in a real model: each is found, and the stage or the cause is
named.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper

from galago.verification import verify

pytestmark = pytest.mark.openvino
Spoil = Callable[..., Path]


def constant(graph: Any, name: str) -> Any:
    return next(tensor for tensor in graph.initializer if tensor.name == name)


def change(graph: Any, name: str, make: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace a constant of a graph by what `make` makes of it."""
    tensor = constant(graph, name)
    tensor.CopyFrom(
        numpy_helper.from_array(make(numpy_helper.to_array(tensor)).astype(np.float32), name)
    )


def consumer(graph: Any, kind: str, name: str) -> Any:
    return next(node for node in graph.node if node.op_type == kind and name in node.input)


def faults(folder: Path, **how: Any) -> str:
    report = verify(str(folder), **how)
    assert not report.ok
    return "\n".join(
        [*report.description, *(fault for file in report.files for fault in file.failures)]
    )


def insert(graph: Any, after: str, node: Any, *, at: int) -> None:
    """Let everything that reads `after` read the new node's output instead."""
    for other in graph.node:
        for index, name in enumerate(other.input):
            if name == after:
                other.input[index] = node.output[0]
    graph.node.insert(at, node)


def normalized_constants(graph: Any) -> tuple[str, str]:
    """Return the names of mean and deviation."""
    names = [tensor.name for tensor in graph.initializer if tensor.name in ("mean", "deviation")]
    assert sorted(names) == ["deviation", "mean"]
    return "mean", "deviation"


def test_an_untouched_model_passes(bundled: Path):
    report = verify(str(bundled))
    assert report.ok
    assert {file.engine for file in report.files} >= {"openvino"}


def test_swapped_channels(spoil: Spoil):
    def swap(graph: Any) -> None:
        graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "bgr"))
        planes = next(index for index, node in enumerate(graph.node) if node.op_type == "Transpose")
        source = graph.node[planes].input[0]
        graph.node.insert(planes, helper.make_node("Gather", [source, "bgr"], ["swapped"], axis=3))
        graph.node[planes + 1].input[0] = "swapped"

    found = faults(spoil(swap))
    assert "first layer that differs: input" in found
    assert "the color channels are swapped (BGR for RGB)" in found


@pytest.mark.parametrize("name", ["mean", "deviation"])
def test_wrong_mean_or_std(spoil: Spoil, name: str):
    found = faults(
        spoil(lambda graph: change(graph, name, lambda values: np.full_like(values, 127.5)))
    )
    assert "first layer that differs: input" in found
    assert "cause: mean or std of the normalization are others" in found


@pytest.mark.parametrize(
    ("mode", "corners"),
    [("nearest", "asymmetric"), ("cubic", "align_corners")],
    ids=["nearest", "align_corners"],
)
def test_other_upsampling_in_the_head(spoil: Spoil, mode: str, corners: str):
    def replace_upsampling(graph: Any) -> None:
        shuffle = next(
            node
            for node in graph.node
            if node.op_type == "DepthToSpace" and node.output[0] == "pixel_shuffle"
        )
        position = list(graph.node).index(shuffle)
        source = consumer(graph, "Conv", "network.head.inputs.0.conv.weight").output[0]
        graph.initializer.append(
            numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "four")
        )
        graph.node.remove(shuffle)
        settings = {"mode": mode, "coordinate_transformation_mode": corners}
        settings |= {"nearest_mode": "floor"} if mode == "nearest" else {"cubic_coeff_a": -0.75}
        graph.node.insert(
            position,
            helper.make_node("Resize", [source, "", "four"], [shuffle.output[0]], **settings),
        )

    assert "first layer that differs: head.upsample.0" in faults(spoil(replace_upsampling))


@pytest.mark.parametrize(
    ("weight", "stage"),
    [
        ("network.backbone.stages.2.1.depth.conv.weight", "backbone.stages.2.1"),
        (
            "network.backbone.stages.3.1.attention.project.conv.weight",
            "backbone.stages.3.1.attention",
        ),
        ("network.head.middle.0.point.conv.weight", "head.middle.0"),
    ],
)
def test_zeroed_weights_of_one_layer(spoil: Spoil, weight: str, stage: str):
    assert f"first layer that differs: {stage} (" in faults(
        spoil(lambda graph: change(graph, weight, np.zeros_like))
    )


def test_a_photo_that_is_cut_off_by_one(spoil: Spoil):
    def roll(
        graph: Any,
    ) -> None:  # every row becomes the one below it, as padding at the wrong side does
        name = "network.backbone.stages.0.0.conv.weight"
        convolution = consumer(graph, "Conv", name)
        pads = next(attribute for attribute in convolution.attribute if attribute.name == "pads")
        pads.ints[:] = [0, 1, 2, 1]

    assert "first layer that differs: backbone.stages.0.0 (" in faults(spoil(roll))


def test_another_class_order_in_the_file(spoil: Spoil):
    def swap(graph: Any) -> None:
        order = [1, 0, *range(2, 11)]
        change(graph, "network.head.classify.weight", lambda values: values[order])
        change(graph, "network.head.classify.bias", lambda values: values[order])

    found = faults(spoil(swap))
    assert "first layer that differs: head.classify" in found
    assert "the classes are in another order: 1 for 0, 0 for 1" in found


def test_another_class_order_in_the_description(spoil: Spoil):
    def swap(text: dict[str, Any]) -> None:
        text["classes"][:2] = reversed(text["classes"][:2])

    found = faults(spoil(description=swap))
    assert (
        "class names or their order: model.json says 'building' for class 0, "
        "golden/description.json 'sky' for class 0" in found
    )


def test_another_palette(spoil: Spoil):
    found = faults(spoil(description=lambda text: text["palette"].reverse()))
    assert "palette: model.json says " in found
    assert "golden/labels.png" in found


def test_another_upsampling_on_the_host(spoil: Spoil):
    found = faults(spoil(description=lambda text: text.update(upsampling="bicubic")))
    assert "upsampling: model.json says 'bicubic', golden/description.json 'bilinear'" in found
    assert "label map: bicubic upsampling of golden/logits.npy gives " in found


@pytest.mark.torch
def test_float16_that_overflows_on_a_large_photo(spoil: Spoil, bundled: Path):
    pytest.importorskip("torch")
    from galago.export.rewrite import deploy
    from galago.export.rewrite.deploy import DeployedNetwork
    from galago.export.writers.onnx import write_onnx
    from galago.models.checkpoint import load_checkpoint
    from galago.spec import ModelSpec

    checkpoint = Path(__file__).parents[2] / "checkpoints/b0-camvid.safetensors"
    spec = replace(
        ModelSpec.from_json((bundled / "model.json").read_text()), precision="float16", files={}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            deploy, "balance_attention", lambda network, planes: None
        )  # attention as it was trained
        deployed = DeployedNetwork(load_checkpoint(checkpoint)[0], spec)
        write_onnx(deployed, spec, bundled / "model.onnx")
    found = faults(
        spoil(description=lambda text: text.update(precision="float16")), engines=["openvino"]
    )
    assert re.search(
        r"1024 x 2048: [\d.e+]+ in \w+, before backbone\.stages\.3\.\d\.attention\.project\.conv, more than the 65,504",
        found,
    )
