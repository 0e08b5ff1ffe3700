"""What a file holds is read from the file, whatever its description says."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from galago.errors import ModelError
from galago.pretrained.resolve import ASSETS
from galago.verification.contents import (
    fixed_size_of,
    main_precision,
    own_description,
    precision_of,
)

onnx = pytest.importorskip("onnx")
FILE = ASSETS / "b0-camvid/model.onnx"


def rewrite(place: Path, change: Callable[[object], None]) -> Path:
    model = onnx.load(FILE)
    change(model)
    (place / "model.onnx").write_bytes(model.SerializeToString())
    return place / "model.onnx"


def test_the_bundled_file_is_float32_of_any_size_with_its_own_description():
    assert precision_of(FILE) == "float32"
    assert fixed_size_of(FILE) is None
    own = own_description(FILE)
    assert own
    assert own.classes[0] == "sky"


@pytest.mark.parametrize(
    ("kind", "name"), [(np.float16, "float16"), (np.int8, "int8"), (np.uint8, "int8")]
)
def test_the_precision_is_that_of_the_weights(tmp_path: Path, kind: type, name: str):
    def cast(model: object) -> None:
        for tensor in model.graph.initializer:  # type: ignore[attr-defined]
            if len(tensor.dims) == 4:
                values = onnx.numpy_helper.to_array(tensor).astype(kind)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    assert precision_of(rewrite(tmp_path, cast)) == name


def test_blocks_that_stay_in_float_leave_a_file_int8():
    assert main_precision(Counter(int8=10, float32=90)) == "int8"
    assert main_precision(Counter(int8=1, float32=99)) == "float32"
    assert main_precision(Counter(float16=60, float32=40)) == "float16"
    assert main_precision(Counter()) is None


def test_a_fixed_size_is_that_of_the_input(tmp_path: Path):
    def fix(model: object) -> None:
        sides = model.graph.input[0].type.tensor_type.shape.dim  # type: ignore[attr-defined]
        for side, length in zip(sides, (1, 96, 160, 3), strict=True):
            side.dim_value = length

    assert fixed_size_of(rewrite(tmp_path, fix)) == (96, 160)


def test_an_openvino_file_is_asked_by_its_graph(tmp_path: Path):
    file = tmp_path / "model.xml"
    layers = (
        '<layer type="Parameter"><data shape="1,96,160,3" element_type="u8"/></layer>'
        '<layer type="Const"><data element_type="f16" shape="8, 3, 3, 3"/></layer>'
        '<layer type="Const"><data element_type="f32" shape="1, 3, 1, 1"/></layer>'
    )
    file.write_text(f"<net><layers>{layers}</layers></net>")
    assert fixed_size_of(file) == (96, 160)
    assert precision_of(file) == "float16"
    file.write_text("<net><layers>")
    with pytest.raises(ModelError, match=r"model\.xml is no whole OpenVINO IR file"):
        precision_of(file)


def test_formats_that_have_one_precision_are_that(tmp_path: Path):
    assert precision_of(tmp_path / "model.ncnn.param") == "float32"
    assert precision_of(tmp_path / "model.pte") == "float32"
