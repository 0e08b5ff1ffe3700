"""What model.json, the files and golden/ say is compared, and images go the whole way of a host."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from galago.runtime.engines.table import open_engine
from galago.runtime.model_folder import open_model
from galago.runtime.segmenter import Segmenter
from galago.verification import Report, verify
from galago.verification.checks import LARGE, look_for_overflow
from galago.verification.host import check_host, expected_host, plain_images
from galago.verification.report import FileReport, finite

pytestmark = pytest.mark.openvino
Spoil = Callable[..., Path]
ENGINES = ["openvino"]
FACTOR = 1.05


def told(report: Report) -> str:
    return "\n".join(
        [*report.description, *(fault for file in report.files for fault in file.failures)]
    )


def test_the_bundled_folder_verifies_with_the_model_json_of_an_older_galago(bundled: Path):
    old = Path(__file__).parents[1] / "golden/old/model.json"  # of commit cd06512
    (bundled / "model.json").write_text(old.read_text())
    assert verify(bundled, engines=ENGINES).ok


def describe_inside(folder: Path, change: dict[str, Any]) -> Callable[[], None]:
    """Change the description inside of model.onnx."""
    model = onnx.load(folder / "model.onnx")
    (entry,) = [entry for entry in model.metadata_props if entry.key == "galago"]
    entry.value = json.dumps(json.loads(entry.value) | change)
    return lambda: (folder / "model.onnx").write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"resize": "stretch", "input_size": [192, 256]},
            "input size: model.json says (192, 256), model.onnx takes any size",
        ),
        (
            {"input_size": [192, 256]},
            "input size: model.json says (192, 256), golden/description.json None",
        ),
        (
            {"resize": "short_side", "short_side": 192},
            "resize rule: model.json says 'short_side', golden",
        ),
        (
            {"precision": "int8"},
            "precision: model.json says 'int8', the weights in model.onnx are float32",
        ),
        (
            {"precision": "bfloat16"},
            "precision: model.json says 'bfloat16', golden/description.json 'float32'",
        ),
        (
            {"output": "labels"},
            "output: model.json says 'labels', golden/description.json 'logits'",
        ),
        ({"output_stride": 4}, "output stride: model.json says 4"),
    ],
)
def test_a_wrong_rule_in_the_description_is_found_without_a_checkpoint(
    spoil: Spoil, change: dict[str, Any], said: str
):
    report = verify(str(spoil(description=lambda text: text.update(change))), engines=ENGINES)
    assert not report.ok
    assert said in told(report)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": [0.5, 0.5, 0.5]}, "mean of the normalization"),
        ({"upsampling": "bicubic"}, "upsampling"),
        ({"resize": "short_side", "short_side": 512}, "resize rule"),
        ({"ignore_id": 0}, "ignore id"),
        ({"output_stride": 16}, "output stride"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_a_description_inside_the_file_that_differs_is_found(
    spoil: Spoil, bundled: Path, change: dict[str, Any], words: str
):
    describe_inside(bundled, change)()
    report = verify(str(spoil()), engines=ENGINES)
    assert not report.ok
    assert any(
        fault.startswith(words) and "the description inside model.onnx" in fault
        for fault in report.description
    )


def test_another_class_order_inside_the_file_is_found(spoil: Spoil, bundled: Path):
    classes = json.loads((bundled / "model.json").read_text())["classes"]
    describe_inside(bundled, {"classes": [classes[1], classes[0], *classes[2:]]})()
    assert "class names or their order: model.json says 'sky' for class 0" in told(
        verify(str(spoil()), engines=ENGINES)
    )


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_a_damaged_description_inside_the_file_is_found(spoil: Spoil, bundled: Path, text: str):
    model = onnx.load(bundled / "model.onnx")
    model.metadata_props[0].value = text
    (bundled / "model.onnx").write_bytes(model.SerializeToString())
    assert "model.onnx: The model description is not JSON" in told(
        verify(str(spoil()), engines=ENGINES)
    )


def test_a_tolerance_is_that_of_the_file_and_not_of_its_description(spoil: Spoil):
    def scale(graph: Any) -> None:
        name = "network.backbone.stages.2.1.point.conv.weight"
        tensor = next(item for item in graph.initializer if item.name == name)
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(FACTOR * onnx.numpy_helper.to_array(tensor), name)
        )

    report = verify(str(spoil(scale, lambda text: text.update(precision="int8"))), engines=ENGINES)
    (file,) = report.files
    assert (file.precision, report.precision) == ("float32", "float32")
    assert "golden: logits are off by" in told(report)
    assert file.layer == "backbone.stages.2.1"


def remove_guards(graph: Any) -> None:
    for node in [node for node in graph.node if node.op_type in ("Clip", "Max")]:
        for other in graph.node:
            for index, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[index] = node.input[0]
        graph.node.remove(node)


def test_an_attention_without_its_guard_is_found_on_images_of_one_color(spoil: Spoil):
    report = verify(str(spoil(remove_guards)), engines=ENGINES)
    (file,) = report.files
    assert not file.checks[0].failures  # the golden image alone would not show it
    assert "logits are not finite, after a division by zero" in told(report)
    json.dumps(report.to_dict(), allow_nan=False)
    assert {check.image.split()[0] for check in file.host if check.failures} & {
        "black",
        "gray",
        "white",
        "red",
    }


def test_images_of_one_color_and_of_every_kind_of_size_are_looked_at(bundled: Path):
    (file,) = verify(str(bundled), engines=ENGINES).files
    assert [check.image for check in file.host] == [
        "black 96 x 160", "gray 96 x 160", "white 96 x 160", "red 96 x 160", "noise 96 x 160",
        "scene 333 x 501", "scene 640 x 256", "scene 90 x 160",
    ]  # fmt: skip
    assert not any(check.failures or check.compared for check in file.host)
    assert [image.shape for _, image in plain_images((32, 64))] == 5 * [(32, 64, 3)]


def test_a_host_rule_other_than_recorded_is_found_by_the_labels(bundled: Path):
    """The engine stands for the trained network, so that nothing but the resize rule differs."""
    opened = open_model(str(bundled))
    engine = open_engine(bundled / "model.onnx", "openvino")
    trained = Segmenter(engine, opened.spec)
    right = Segmenter(engine, opened.spec)
    assert not any(check.failures for check in check_host(right, trained, opened.spec, "float32"))
    wrong = Segmenter(engine, replace(opened.spec, resize="short_side", short_side=256))
    found = [
        check.image
        for check in check_host(wrong, trained, opened.spec, "float32")
        if check.failures
    ]
    assert found == ["scene 333 x 501", "scene 90 x 160"]  # the third has that short side already
    assert expected_host(wrong, trained, opened.spec).spec.resize == "keep"


def test_an_image_that_is_normalized_twice_has_a_cause(spoil: Spoil):
    def twice(graph: Any) -> None:
        place, last = next(
            (index, node) for index, node in enumerate(graph.node) if "deviation" in node.input
        )
        for node in graph.node:
            for index, name in enumerate(node.input):
                if name == last.output[0]:
                    node.input[index] = "twice"
        graph.node.insert(
            place + 1, onnx.helper.make_node("Sub", [last.output[0], "mean"], ["again"])
        )
        graph.node.insert(
            place + 2, onnx.helper.make_node("Div", ["again", "deviation"], ["twice"])
        )

    found = told(verify(str(spoil(twice)), engines=ENGINES))
    assert "first layer that differs: input" in found
    assert "cause: the image is normalized twice" in found


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_overflow_is_looked_for_on_the_largest_size_whatever_the_engine(
    bundled: Path, monkeypatch: pytest.MonkeyPatch, engine: str
):
    opened = open_model(str(bundled))
    opened = replace(opened, spec=replace(opened.spec, precision="float16"))
    seen: list[tuple[int, ...]] = []

    def look(file: Path, image: np.ndarray) -> tuple[str | None, str | None]:
        seen.append(image.shape[1:3])
        return "1e5 in a layer", None

    monkeypatch.setattr("galago.verification.checks.overflow", look)
    for sizes, expected in (
        ((), LARGE),
        (((64, 96),), LARGE),
        (((64, 96), (2048, 4096)), (2048, 4096)),
    ):
        report = verify_nothing(engine)
        look_for_overflow(report, opened, "model.onnx", sizes)
        assert seen[-1] == expected
        assert report.files[0].overflow == f"{expected[0]} x {expected[1]}: 1e5 in a layer"


def verify_nothing(engine: str) -> Report:
    from galago.verification.compare import TOLERANCES

    report = Report(
        name="a", precision="float16", against="golden", tolerance=TOLERANCES["float16"]
    )
    report.files.append(FileReport(file="model.onnx", engine=engine))
    return report


def test_it_is_said_when_overflow_was_not_looked_for(
    bundled: Path, monkeypatch: pytest.MonkeyPatch
):
    opened = open_model(str(bundled))
    opened = replace(opened, spec=replace(opened.spec, precision="float16"))
    monkeypatch.setattr("galago.verification.float16_overflow.find_spec", lambda name: None)
    report = verify_nothing("onnxruntime")
    look_for_overflow(report, opened, "model.onnx", ())
    assert report.skipped == [
        "model.onnx: overflow of float16 was not looked for: OpenVINO is not installed (pip "
        "install openvino)"
    ]


def test_a_report_of_what_is_not_finite_is_json():
    facts = finite({"a": [float("nan"), 1.5, {"b": float("-inf")}], "c": "nan", "d": (1, None)})
    assert facts == {"a": [None, 1.5, {"b": None}], "c": "nan", "d": [1, None]}
