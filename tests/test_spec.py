import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from galago.errors import ConfigError, ModelError
from galago.spec import Metrics, ModelSpec

FULL: dict[str, Any] = {
    "name": "b0-two",
    "variant": "b0",
    "classes": ("road", "Straße"),
    "palette": ((1, 2, 3), (4, 5, 6)),
    "input_size": (64, 96),
    "resize": "stretch",
    "mean": (0.5, 0.5, 0.5),
    "licenses": {"code": "Apache-2.0"},
    "files": {"model.onnx": "00ff"},
}
SPEC = ModelSpec(**FULL)


def test_json_brings_back_every_attribute():
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC


def test_what_is_not_said_has_the_defaults_of_the_authors():
    text = json.dumps(
        {
            "schema_version": 1,
            "name": "n",
            "variant": "b0",
            "classes": ["a"],
            "palette": [[0, 0, 0]],
        }
    )
    spec = ModelSpec.from_json(text)
    assert (spec.resize, spec.upsampling, spec.output_stride, spec.ignore_id) == (
        "keep",
        "bilinear",
        8,
        255,
    )
    assert spec.input_size is None
    assert spec.num_classes == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"resize": "squeeze"},
            "Unknown resize 'squeeze'. Choose one of: keep, stretch, short_side",
        ),
        ({"output": "scores"}, "Unknown output 'scores'"),
        ({"upsampling": "nearest"}, "Unknown upsampling 'nearest'"),
        ({"input_size": (64, 100)}, r"multiples of 32 as \(height, width\), got \(64, 100\)"),
        ({"input_size": (0, 32)}, "multiples of 32"),
        ({"input_size": None}, "'stretch' needs an input_size"),
        ({"short_side": 512}, "short_side belongs to resize 'short_side', got 'stretch' with 512"),
        (
            {"resize": "short_side"},
            "short_side belongs to resize 'short_side', got 'short_side' with None",
        ),
        (
            {"resize": "short_side", "short_side": 0},
            "short_side needs 1 or more pixels, 4096 at most, got 0",
        ),
        (
            {"output_stride": 0},
            "output_stride needs 1 or more pixels, one of 1, 2, 4, 8, 16, 32, got 0",
        ),
        ({"output_stride": 3}, "got 3"),
        ({"output_stride": 10**9}, "output_stride needs .* got 1000000000"),
        (
            {"precision": "float8"},
            "Unknown precision 'float8'. Choose one of: float32, float16, bfloat16, int8",
        ),
        (
            {"input_size": (2**40, 32)},
            r"input_size needs sides of at most 16384 pixels and 67,108,864 pixels in all, "
            r"got \(1099",
        ),
        ({"input_size": (16384, 16384)}, "input_size needs sides of at most"),
        (
            {"resize": "short_side", "input_size": None, "short_side": 40000},
            "short_side needs .* got 40000",
        ),
        (
            {"resize": "short_side", "input_size": None, "short_side": 10**6},
            "short_side needs .* got 1000000",
        ),
        (
            {"mean": (0.5, -5.0, 0.5)},
            r"mean needs three numbers from 0 to 1, got \(0.5, -5.0, 0.5\)",
        ),
        ({"mean": (0.5, 1e300, 0.5)}, "mean needs three numbers from 0 to 1"),
        ({"std": (1e-300, 1.0, 1.0)}, "std needs three positive numbers from 0.001 to 100"),
        ({"std": (1e300, 1.0, 1.0)}, "std needs three positive numbers"),
        ({"ignore_id": 256}, "ignore_id needs 0 to 255, got 256"),
        ({"std": (1.0, 0.0, 1.0)}, "std needs three positive numbers"),
        ({"classes": ("road",)}, r"one color per class \(1\), got 2"),
    ],
)
def test_a_wrong_attribute_is_an_error_that_says_what_came(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SPEC, **change)
    with pytest.raises(ModelError, match=message):  # a file is not misuse
        ModelSpec.from_json(json.dumps(json.loads(SPEC.to_json()) | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"schema_version": 3},
            "reads a model description of schema version 2, got 3. Export the model again, or "
            "update galago",
        ),
        ({"schema_version": None}, "schema version 2, got None"),
        (
            {"colour": 1, "anchors": 2},
            "Unknown keys in the model description: anchors, colour. Export the model again, or "
            "update galago",
        ),
        ({"resize": "a" * 5000}, r"Unknown resize 'a{9,70}\.\.\.a{9,70}'\. Choose one of"),
        ({"name": 7}, "has name = 7, expected str. Export the model again"),
        ({"input_size": [64]}, r"has input_size = \[64\], expected tuple\[int, int\]"),
        ({"input_size": [64.0, 64.0]}, "has input_size = 64.0, expected int"),
        ({"classes": "road"}, "has classes = 'road', expected tuple"),
        ({"ignore_id": True}, "has ignore_id = True, expected int"),
        ({"mean": [0.5, "x", 0.5]}, "has mean = 'x', expected float"),
        ({"metrics": {"mean_iou": "0.7"}}, "has mean_iou = '0.7', expected float"),
        ({"metrics": {"mean_iou": 1.5}}, "mean_iou needs 0 to 1, got 1.5"),
        ({"metrics": {"miou": 0.7}}, "Unknown keys in the model description's metrics: miou"),
        ({"files": ["model.onnx"]}, r"has files = \['model.onnx'\]"),
    ],
)
def test_a_wrong_key_is_an_error_that_says_what_came(change: dict[str, Any], message: str):
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(json.dumps(json.loads(SPEC.to_json()) | change))


def test_a_description_written_before_metrics_still_loads():
    text = (Path(__file__).parent / "golden/old/model.json").read_text()  # of commit cd06512
    spec = ModelSpec.from_json(text)
    assert (spec.name, spec.metrics, spec.schema_version) == ("b0-camvid", None, 2)
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_metrics_come_back_from_json():
    metrics = Metrics(mean_iou=0.6788, pixel_accuracy=None, dataset="CamVid val")
    spec = dataclasses.replace(SPEC, metrics=metrics)
    assert json.loads(spec.to_json())["metrics"]["mean_iou"] == 0.6788
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_missing_keys_are_named():
    with pytest.raises(
        ModelError, match="Missing keys in the model description: classes, palette, variant"
    ):
        ModelSpec.from_json('{"schema_version": 1, "name": "n"}')


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("", "is not JSON"), ("[1]", "a JSON object, got list")],
)
def test_what_is_no_json_object_is_refused(text: str, message: str):
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(text)


def test_whole_numbers_do_for_mean_and_std():
    spec = ModelSpec.from_json(
        json.dumps(json.loads(SPEC.to_json()) | {"mean": [0, 0, 0], "std": [1, 1, 1]})
    )
    assert spec.mean == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["mean", "std"])
def test_a_mean_or_std_that_is_no_number_is_refused(field: str, value: float):
    with pytest.raises(ConfigError, match=f"{field} needs three"):
        dataclasses.replace(SPEC, **{field: (0.5, value, 0.5)})
    text = json.dumps(json.loads(SPEC.to_json()) | {field: [0.5, value, 0.5]})  # NaN, Infinity
    with pytest.raises(ModelError, match=r"is not JSON: -?(NaN|Infinity) is no number in JSON\."):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "golden/../../x",
        "a//b",
        "./a",
        "",
        "..",
        "C:/x",
        "a\\b",
        "a\0b",
        "a\n",
        "x" * 300,
    ],
)
def test_a_file_outside_of_the_folder_is_refused_by_its_name(name: str):
    with pytest.raises(ConfigError, match="files may name files inside the model folder only, got"):
        dataclasses.replace(SPEC, files={name: "00ff"})


def test_the_files_of_a_coreml_package_are_inside_the_folder():
    name = "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    assert dataclasses.replace(SPEC, files={name: "00ff"}).files == {name: "00ff"}


def test_a_checksum_that_is_none_is_refused():
    with pytest.raises(
        ConfigError, match=r"files has no SHA-256 in hexadecimal for 'model\.onnx', but 'md5:00'"
    ):
        dataclasses.replace(SPEC, files={"model.onnx": "md5:00"})
