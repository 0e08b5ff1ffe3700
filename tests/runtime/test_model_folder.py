import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import galago
from galago.errors import ConfigError, ModelError
from galago.runtime.model_folder import open_model
from galago.spec import ModelSpec


def change_description(folder: Path, **change: object) -> None:
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


def test_a_folder_opens_with_its_description(tiny_folder: Path):
    opened = open_model(str(tiny_folder))
    assert opened.files == {"model.onnx": tiny_folder / "model.onnx"}
    assert opened.spec.classes == ("red", "green", "blue")


@pytest.mark.openvino
def test_a_single_file_opens_with_the_description_inside(tiny_onnx: Path, tiny_spec: ModelSpec):
    opened = open_model(str(tiny_onnx))
    assert (opened.files, opened.spec) == ({"model.onnx": tiny_onnx}, tiny_spec)


def test_an_unknown_engine_is_an_error_that_lists_the_known_ones(tiny_folder: Path):
    with pytest.raises(ConfigError, match=r"Unknown engine 'cuda'\. Choose one of: auto, openvino"):
        galago.load(tiny_folder, engine="cuda")


def test_a_folder_without_a_description_is_no_model(tmp_path: Path):
    with pytest.raises(
        ModelError, match=r"is no model folder: it has no model\.json\. `galago export` writes"
    ):
        open_model(str(tmp_path))


def test_a_listed_file_that_is_missing_is_named(tiny_folder: Path):
    (tiny_folder / "model.onnx").unlink()
    with pytest.raises(
        ModelError, match=r"model\.onnx is missing\. Copy the whole model folder again"
    ):
        open_model(str(tiny_folder))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"\0" + data[1:]]
)
def test_a_file_that_changed_is_refused_with_both_checksums(
    tiny_folder: Path, damage: Callable[[bytes], bytes]
):
    file = tiny_folder / "model.onnx"
    expected = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    file.write_bytes(damage(file.read_bytes()))
    given = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    with pytest.raises(
        ModelError,
        match=f"is not the file that was exported: its SHA-256 is {given}.*, expected {expected}",
    ):
        open_model(str(tiny_folder))


def test_a_folder_that_lists_no_network_is_refused(tiny_folder: Path):
    change_description(tiny_folder, files={})
    with pytest.raises(ModelError, match=r"lists no model\.onnx"):
        open_model(str(tiny_folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"schema_version": 99},
            "schema version 2, got 99. Export the model again, or update galago",
        ),
        ({"anchors": 3}, "Unknown keys in the model description: anchors"),
        ({"resize": "squeeze"}, "is wrong: Unknown resize 'squeeze'"),
    ],
)
def test_a_wrong_description_is_an_error_that_names_its_file(
    tiny_folder: Path, change: dict[str, object], message: str
):
    change_description(tiny_folder, **change)
    with pytest.raises(ModelError, match=rf"tiny.model\.json: .*{message}"):
        open_model(str(tiny_folder))


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000])
def test_a_description_that_is_no_json_is_an_error_that_names_its_file(
    tiny_folder: Path, text: bytes
):
    (tiny_folder / "model.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"tiny.model\.json: The model description is not JSON"):
        open_model(str(tiny_folder))


@pytest.mark.parametrize("text", [b"\xff\xfe{\0", b'{"name": "\xe9"}'])
def test_a_description_that_is_no_utf8_is_an_error_that_names_its_file(
    tiny_folder: Path, text: bytes
):
    (tiny_folder / "model.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"tiny.model\.json is (UTF-16 or no|no UTF-8) text"):
        open_model(str(tiny_folder))


def test_a_description_saved_with_a_byte_order_mark_opens(tiny_folder: Path):
    file = tiny_folder / "model.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert open_model(str(tiny_folder)).spec.classes == ("red", "green", "blue")


def listed(folder: Path, *names: str) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.parametrize("name", ["../secret", "golden/../../secret"])
def test_a_file_beside_the_folder_is_not_read(tiny_folder: Path, name: str):
    (tiny_folder.parent / "secret").write_text("s")
    change_description(tiny_folder, files=listed(tiny_folder, "model.onnx") | {name: "0" * 64})
    with pytest.raises(
        ModelError, match="files may name files inside the model folder only"
    ) as caught:
        open_model(str(tiny_folder))
    assert hashlib.sha256(b"s").hexdigest()[:12] not in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "golden/photo.png"])
def test_a_link_that_leaves_the_folder_is_not_followed(tiny_folder: Path, name: str):
    outside = tiny_folder.parent / "outside"
    outside.mkdir()
    (tiny_folder / "model.onnx").rename(outside / "model.onnx")
    (outside / "photo.png").write_bytes(b"photo")
    sums = listed(outside, "model.onnx", "photo.png")
    if name == "model.onnx":
        (tiny_folder / name).symlink_to(outside / "model.onnx")
    else:
        (tiny_folder / "golden").symlink_to(outside, target_is_directory=True)
    change_description(tiny_folder, files={name: sums[name.split("/")[-1]]})
    with pytest.raises(
        ModelError, match=r"is a link to a file outside of the model folder.*cp -rL"
    ):
        open_model(str(tiny_folder))


def test_a_link_to_a_whole_model_folder_opens(tiny_folder: Path):
    link = tiny_folder.parent / "link"
    link.symlink_to(tiny_folder, target_is_directory=True)
    assert open_model(str(link)).spec.name == "tiny"


def test_a_link_within_the_folder_opens(tiny_folder: Path):
    (tiny_folder / "model.onnx").rename(tiny_folder / "kept.onnx")
    (tiny_folder / "model.onnx").symlink_to("kept.onnx")
    assert open_model(str(tiny_folder)).spec.name == "tiny"


@pytest.mark.parametrize(
    ("graph", "weights"), [("model.xml", "model.bin"), ("model.ncnn.param", "model.ncnn.bin")]
)
def test_weights_that_no_checksum_covers_are_refused(tiny_folder: Path, graph: str, weights: str):
    for name in (graph, weights):
        (tiny_folder / name).write_bytes(b"content")
    change_description(tiny_folder, files=listed(tiny_folder, graph))
    with pytest.raises(ModelError, match=f"lists {graph} without {weights}, its weights"):
        open_model(str(tiny_folder))
    change_description(tiny_folder, files=listed(tiny_folder, graph, weights))
    assert list(open_model(str(tiny_folder)).files) == [graph]


def branch(onnx: Any, tensor: Any) -> Any:
    """Return a node with a graph inside that holds a tensor."""
    inner = onnx.helper.make_graph([], "inner", [], [], [tensor])
    return onnx.helper.make_node(
        "If", ["condition"], ["result"], then_branch=inner, else_branch=inner
    )


@pytest.mark.parametrize("place", ["initializer", "attribute", "branch", "function"])
@pytest.mark.parametrize("folder", [True, False])
def test_onnx_weights_in_another_file_are_refused(tiny_folder: Path, place: str, folder: bool):
    onnx = pytest.importorskip("onnx")
    file = tiny_folder / "model.onnx"
    model = onnx.load(file)
    tensor = onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32), "outside")
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "attribute":
        model.graph.node.append(onnx.helper.make_node("Constant", [], ["outside"], value=tensor))
    elif place == "branch":
        model.graph.node.append(branch(onnx, tensor))
    else:
        opset = [onnx.helper.make_opsetid("", 18)]
        model.functions.append(
            onnx.helper.make_function("galago", "f", [], [], [branch(onnx, tensor)], opset)
        )
    file.write_bytes(model.SerializeToString())
    (tiny_folder / "weights.bin").write_bytes(bytes(36))
    change_description(tiny_folder, files=listed(tiny_folder, "model.onnx"))
    with pytest.raises(ModelError, match=r"model\.onnx keeps weights in another file"):
        open_model(str(tiny_folder if folder else file))


@pytest.mark.openvino
def test_a_file_without_a_description_is_refused(tmp_path: Path, write_onnx: Callable[..., Path]):
    path = write_onnx(tmp_path / "a.onnx", spec=None)
    with pytest.raises(
        ModelError, match=r"a\.onnx carries no description of its classes and input\. Export it"
    ):
        open_model(str(path))


@pytest.mark.openvino
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_file_that_is_cut_short_is_refused(
    tiny_onnx: Path, part: float, capfd: pytest.CaptureFixture[str]
):
    data = tiny_onnx.read_bytes()
    tiny_onnx.write_bytes(data[: int(part * len(data))])
    with pytest.raises(ModelError, match=r"tiny\.onnx is no whole ONNX file\. Copy it again"):
        open_model(str(tiny_onnx))
    assert capfd.readouterr().err == ""  # readers of other formats have not been tried


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path):
    (tmp_path / "a.onnx").touch()
    with pytest.raises(ModelError, match=r"a\.onnx is empty \(0 bytes\)"):
        open_model(str(tmp_path / "a.onnx"))


def test_a_checkpoint_is_sent_to_export(tmp_path: Path):
    (tmp_path / "best.safetensors").write_bytes(b"weights")
    with pytest.raises(
        ModelError,
        match=r"is a checkpoint\. Turn it into a model folder first: galago export",
    ):
        open_model(str(tmp_path / "best.safetensors"))


@pytest.mark.parametrize(
    "name", ["model.json", "model.tflite", "model.ncnn.param", "model.ncnn.bin"]
)
def test_a_part_alone_is_sent_to_its_folder(tiny_folder: Path, name: str):
    (tiny_folder / name).touch()
    with pytest.raises(ModelError, match="Give the folder that it lies in"):
        open_model(str(tiny_folder / name))


@pytest.mark.openvino
def test_a_wrong_description_inside_a_file_is_an_error_that_names_the_file(
    tmp_path: Path, write_onnx: Callable[..., Path], tiny_spec: ModelSpec
):
    path = write_onnx(tmp_path / "a.onnx", dataclasses.replace(tiny_spec, schema_version=7))
    with pytest.raises(ModelError, match=r"a\.onnx: This galago reads .* got 7"):
        open_model(str(path))
