"""Fixtures that several test files share."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hub_server import Hub, serve

from galago.spec import ModelSpec

REPOSITORY = Path(__file__).parent.parent
TINY_SPEC = ModelSpec(
    name="tiny",
    variant="tiny",
    classes=("red", "green", "blue"),
    palette=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep compiled models out of the user's cache folder, those of commands too."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["GALAGO_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def camvid() -> Path:
    """Folder of the real CamVid data set, which is no part of the repository."""
    root = Path(os.environ.get("GALAGO_CAMVID", REPOSITORY.parent / "shared/data/CamVid"))
    if not (root / "val.txt").is_file():
        pytest.skip(f"CamVid is not at {root}; set GALAGO_CAMVID to its folder")
    return root


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty store of published weights."""
    monkeypatch.setenv("GALAGO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(
        "HF_HUB_OFFLINE", "0"
    )  # restored after the test, whatever --offline made of it
    return tmp_path / "cache/weights"


@pytest.fixture
def hub(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return a hub on this machine, without files, which the environment names as the mirror."""
    pytest.importorskip("huggingface_hub")
    with serve() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


@pytest.fixture
def tiny_spec() -> ModelSpec:
    """Describe the network of `write_onnx`."""
    return TINY_SPEC


@pytest.fixture
def write_onnx() -> Callable[..., Path]:
    """Write a network whose class is the brightest color channel: its logits are the means of 8 x 8
    pixels.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(path: Path, spec: ModelSpec | None = TINY_SPEC) -> Path:
        nodes = [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node(
                "AveragePool", ["planes"], ["means"], kernel_shape=[8, 8], strides=[8, 8]
            ),
            helper.make_node("Conv", ["means", "weight"], ["logits"]),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])
        logits = helper.make_tensor_value_info(
            "logits", TensorProto.FLOAT, [1, 3, "rows", "columns"]
        )
        weight = numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "weight")
        graph = helper.make_graph(nodes, "tiny", [image], [logits], [weight])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        if spec:
            entry = model.metadata_props.add()
            entry.key, entry.value = "galago", spec.to_json()
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.fixture
def tiny_onnx(tmp_path: Path, write_onnx: Callable[..., Path]) -> Path:
    """Return the .onnx file of `write_onnx`, with its description inside."""
    return write_onnx(tmp_path / "tiny.onnx")


@pytest.fixture
def tiny_folder(tmp_path: Path, write_onnx: Callable[..., Path]) -> Path:
    """Return a model folder around the network of `write_onnx`."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    sum256 = hashlib.sha256(write_onnx(folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "model.json").write_text(
        dataclasses.replace(TINY_SPEC, files={"model.onnx": sum256}).to_json()
    )
    return folder


@pytest.fixture
def draw_clip() -> Callable[..., Path]:
    """Write a video of a red square that moves 4 pixels a frame to the right over blue."""

    def draw(
        path: Path, frames: int = 12, size: tuple[int, int] = (64, 96), rate: float = 12.5
    ) -> Path:
        code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
        writer = cv2.VideoWriter(str(path), code, rate, size[::-1])
        if not writer.isOpened():
            pytest.skip(f"this OpenCV writes no {path.suffix}")
        for number in range(frames):
            image = np.zeros((*size, 3), np.uint8)
            image[..., 0] = 255  # OpenCV's order is blue, green, red
            image[16:48, 4 * number : 4 * number + 32] = (0, 0, 255)
            writer.write(image)
        writer.release()
        return path

    return draw
