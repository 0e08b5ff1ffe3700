"""Files that OpenVINO's converter would crash on, and texts of engines that are no UTF-8."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import galago
from galago.errors import ModelError
from galago.runtime.engines import trial
from galago.runtime.engines.base import reason_of
from galago.runtime.engines.onnx_graph import WRITTEN, read_operators

onnx = pytest.importorskip("onnx")


@pytest.fixture
def hard_swish(
    tmp_path: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Change the tiny network, whose convolution a HardSwish follows: OpenVINO crashes on that one
    without input.
    """
    monkeypatch.setenv("GALAGO_CACHE", str(tmp_path / "cache"))

    def write(change: Callable[[Any], None]) -> Path:
        model = onnx.load(tiny_onnx)
        model.graph.node[-1].output[0] = "before"
        model.graph.node.append(onnx.helper.make_node("HardSwish", ["before"], ["logits"]))
        change(model.graph)
        (tmp_path / "changed.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "changed.onnx"

    return write


def foo(graph: Any) -> None:
    graph.node[3].op_type = "Foo"


def foreign(graph: Any) -> None:
    graph.node[3].domain = "com.example\x1b"


def no_weights(graph: Any) -> None:
    del graph.node[3].input[1:]


def wrong_group(graph: Any) -> None:
    graph.node[3].attribute.append(onnx.helper.make_attribute("group", 7))


@pytest.mark.openvino
@pytest.mark.parametrize(
    ("change", "named"),
    [(foo, "Foo"), (foreign, r"com\.example\\x1b\.Conv"), (no_weights, "one of its operators")],
)
def test_a_graph_on_which_openvino_crashes_is_one_clear_error(
    hard_swish: Callable[..., Path], change: Any, named: str
):
    with pytest.raises(
        ModelError, match=rf"OpenVINO c(rashes|annot convert|annot) .*{named}.*--engine onnxruntime"
    ):
        galago.load(hard_swish(change), engine="openvino")


@pytest.mark.openvino
def test_a_known_operator_that_cannot_be_converted_is_one_clear_error(
    hard_swish: Callable[..., Path],
):
    with pytest.raises(
        ModelError, match=r"OpenVINO crashes on .*changed\.onnx|changed\.onnx is no whole ONNX file"
    ):
        galago.load(hard_swish(wrong_group), engine="openvino")


@pytest.mark.openvino
def test_an_operator_that_openvino_does_not_know_is_named_where_it_does_not_crash(
    hard_swish: Callable[..., Path],
):
    def change(graph: Any) -> None:
        graph.node[1].op_type = "Foo"

    with pytest.raises(
        ModelError,
        match=r"changed\.onnx: it (holds|cannot convert) Foo, which galago does not|convert Foo",
    ):
        galago.load(hard_swish(change), engine="openvino")


@pytest.mark.openvino
def test_an_unusual_operator_that_openvino_knows_runs(hard_swish: Callable[..., Path]):
    def change(graph: Any) -> None:
        graph.node[-1].op_type = "Abs"

    assert "Abs" not in WRITTEN
    segmenter = galago.load(hard_swish(change), engine="openvino")
    assert (segmenter(np.full((32, 32, 3), (0, 9, 0), np.uint8)).labels == 1).all()


@pytest.mark.openvino
def test_a_model_folder_with_an_unknown_operator_is_tried_too(
    hard_swish: Callable[..., Path], tmp_path: Path, tiny_spec: Any
):
    folder = tmp_path / "folder"
    folder.mkdir()
    content = hard_swish(foo).read_bytes()
    (folder / "model.onnx").write_bytes(content)
    described = json.loads(tiny_spec.to_json()) | {
        "files": {"model.onnx": hashlib.sha256(content).hexdigest()}
    }
    (folder / "model.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=r"OpenVINO c.* Foo"):
        galago.load(folder, engine="openvino")


@pytest.mark.openvino
def test_where_no_process_can_be_started_unusual_operators_are_refused(
    hard_swish: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trial.sys, "frozen", True, raising=False)
    with pytest.raises(
        ModelError, match=r"holds Foo, on which OpenVINO may crash\. Use --engine onnxruntime"
    ):
        galago.load(hard_swish(foo), engine="openvino")


def test_an_input_that_nothing_gives_is_named(hard_swish: Callable[..., Path]):
    def change(graph: Any) -> None:
        graph.node[-1].input[0] = "nowhere"

    with pytest.raises(
        ModelError,
        match=r"is no whole ONNX file: HardSwish uses 'nowhere', which nothing before it gives",
    ):
        read_operators(hard_swish(change))


def test_operators_of_graphs_inside_graphs_are_listed(hard_swish: Callable[..., Path]):
    def change(graph: Any) -> None:
        inner = onnx.helper.make_graph(
            [onnx.helper.make_node("Bar", ["before"], ["chosen"], domain="here")],
            "inner",
            [],
            [onnx.helper.make_tensor_value_info("chosen", 1, None)],
        )
        graph.node[-1].CopyFrom(
            onnx.helper.make_node(
                "If", ["before"], ["logits"], then_branch=inner, else_branch=inner
            )
        )

    assert list(read_operators(hard_swish(change)).names) == [
        "Cast",
        "Transpose",
        "AveragePool",
        "Conv",
        "If",
        "here.Bar",
    ]


def test_operators_of_the_bundled_model_are_those_that_galago_writes():
    model = Path(galago.__file__).parent / "assets/b0-camvid/model.onnx"
    if not model.is_file():
        pytest.skip("b0-camvid is not bundled here")
    assert read_operators(model).names.keys() <= WRITTEN


def test_text_of_an_engine_that_is_no_utf8_is_shown_with_what_can_be_read():
    error = UnicodeDecodeError("utf-8", b"No such op: \xff\x1b[31m", 12, 13, "invalid start byte")
    assert reason_of(error) == "No such op: \N{REPLACEMENT CHARACTER}\\x1b[31m"


@pytest.mark.parametrize(
    "engine",
    [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("openvino", "onnxruntime")],
)
@pytest.mark.parametrize("place", [b"AveragePool", b"kernel_shape", b"Conv"])
def test_a_file_whose_names_are_no_utf8_is_an_error_of_the_model(
    tiny_onnx: Path, engine: str, place: bytes
):
    pytest.importorskip(engine)
    content = tiny_onnx.read_bytes()
    assert place in content
    tiny_onnx.write_bytes(content.replace(place, place[:-2] + b"\xff\xb1"))
    with pytest.raises(ModelError, match=r"tiny\.onnx"):
        galago.load(tiny_onnx, engine=engine)
