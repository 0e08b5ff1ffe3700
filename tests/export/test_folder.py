import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")


import galago
from galago.errors import ConfigError, ModelError
from galago.export import folder as folders
from galago.export import ranges
from galago.export.folder import (
    FILES,
    GOLDEN_SIZE,
    ExportConfig,
    export_checkpoint,
    render_golden,
    write_model_folder,
)
from galago.export.reference import load_reference
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.onnx import write_onnx
from galago.export.writers.table import WRITERS
from galago.models.inference import TorchEngine
from galago.spec import ModelSpec
from galago.verification import checks, verify

pytestmark = [pytest.mark.torch, pytest.mark.openvino]


@pytest.fixture(scope="module")
def template(random_network: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file, so that not every test converts one."""
    file = tmp_path_factory.mktemp("template") / "model.onnx"
    palette = ((0, 0, 0), (255, 0, 0), (0, 0, 255))
    spec = ModelSpec(name="x", variant="b0", classes=("wall", "door", "floor"), palette=palette)
    write_onnx(DeployedNetwork(random_network(), spec), spec, file)
    return file


@pytest.fixture
def quick(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy the template with another description instead of converting."""

    def write_copy(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
        model = onnx.load(template)
        model.metadata_props[0].value = spec.to_json()
        path.write_bytes(model.SerializeToString())

    monkeypatch.setitem(WRITERS, "onnx", dataclasses.replace(WRITERS["onnx"], write=write_copy))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write(network: Any, spec: ModelSpec, out: Path) -> float:
    return write_model_folder(network, spec, out, facts={}).differences["onnx"]


def test_an_exported_checkpoint_gives_the_labels_that_validation_saw(
    checkpoint: Path, photo: Callable[[int, int], np.ndarray], tmp_path: Path
):
    config = ExportConfig(name="my-doors", licenses={"code": "Apache-2.0"})
    assert export_checkpoint(checkpoint, tmp_path / "model", config).differences["onnx"] < 1e-4
    segmenter = galago.load(str(tmp_path / "model"))
    reference = load_reference(checkpoint)
    image = photo(70, 101)
    # float32 sums in another order: a pixel on a border may fall to either side
    assert (segmenter(image).labels == reference(image).labels).mean() > 0.999
    assert segmenter.spec.name == "my-doors"
    assert segmenter.spec.licenses == {"code": "Apache-2.0"}
    card = (tmp_path / "model/CARD.md").read_text(encoding="utf-8")
    assert "Mean IoU **0.5000**" in card
    assert "Data: drawn doors (4 photos" in card


def test_a_fixed_size_reaches_the_description(checkpoint: Path, tmp_path: Path):
    export_checkpoint(
        checkpoint, tmp_path / "model", ExportConfig(name="doors", input_size=(64, 96))
    )
    spec = galago.load(str(tmp_path / "model")).spec
    assert (spec.input_size, spec.resize) == ((64, 96), "stretch")


def test_a_size_that_is_no_multiple_of_32_is_refused(checkpoint: Path, tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"multiples of 32, got --imgsz 100 96\. The nearest is --imgsz 96 96\."
    ):
        export_checkpoint(
            checkpoint, tmp_path / "model", ExportConfig(name="doors", input_size=(100, 96))
        )
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("quick")
def test_a_model_folder_lists_the_checksum_of_every_other_file(
    random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path
):
    write(random_network(), spec, tmp_path / "new/model")
    files = contents(tmp_path / "new/model")
    assert files.keys() == {*FILES, "model.onnx"}
    sums = json.loads(files.pop("model.json"))["files"]
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]


@pytest.mark.usefixtures("quick")
def test_the_golden_photo_checks_the_file(
    random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path
):
    write(random_network(), spec, tmp_path / "model")
    segmenter = galago.load(str(tmp_path / "model"))
    expected = np.load(tmp_path / "model/golden/logits.npy")
    given = segmenter.logits(galago.image.load(tmp_path / "model/golden/photo.png"))
    assert np.linalg.norm(given - expected) / np.linalg.norm(expected) < 1e-4
    labels = segmenter(tmp_path / "model/golden/photo.png").labels
    expected = galago.image.load_labels(tmp_path / "model/golden/labels.png")
    assert (labels == expected).mean() > 0.999


@pytest.mark.usefixtures("quick")
def test_the_golden_photo_of_a_model_of_one_size_needs_no_resizing(
    random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path
):
    write(
        random_network(),
        dataclasses.replace(spec, input_size=(64, 96), resize="stretch"),
        tmp_path / "model",
    )
    assert galago.image.load(tmp_path / "model/golden/photo.png").shape == (64, 96, 3)
    assert np.load(tmp_path / "model/golden/logits.npy").shape == (3, 8, 12)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("short_side", [64, 300, 512])
def test_the_golden_photo_of_a_model_that_resizes_photos_goes_into_the_file_as_it_is(
    random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path, short_side: int
):
    write(
        random_network(),
        dataclasses.replace(spec, resize="short_side", short_side=short_side),
        tmp_path / "model",
    )
    assert galago.image.load(tmp_path / "model/golden/photo.png").shape == (192, 256, 3)
    expected = np.load(tmp_path / "model/golden/logits.npy")
    assert expected.shape == (3, 24, 32)
    engine = galago.load(str(tmp_path / "model")).engine
    (given,) = engine.run(galago.image.load(tmp_path / "model/golden/photo.png")[None])
    assert np.linalg.norm(given - expected) / np.linalg.norm(expected) < 1e-4
    assert verify(str(tmp_path / "model")).ok


@pytest.mark.parametrize("rule", [{"resize": "keep"}, {"resize": "short_side", "short_side": 512}])
def test_a_fixed_size_takes_the_place_of_every_resize_rule(spec: ModelSpec, rule: dict[str, Any]):
    fixed = ExportConfig(name="doors", input_size=(64, 96)).apply(dataclasses.replace(spec, **rule))
    assert (fixed.input_size, fixed.resize, fixed.short_side) == ((64, 96), "stretch", None)


class WorstSample:
    """An engine that gives the golden labels but for some pixels."""

    name = "openvino"
    input_size = None

    def __init__(self, labels: np.ndarray, wrong: int) -> None:
        self.labels = labels.copy()
        self.labels.flat[:wrong] = (self.labels.flat[:wrong] + 1) % 3

    def run(self, image: np.ndarray) -> np.ndarray:
        return self.labels[None]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), ("float16", 5e-3)])
def test_a_file_of_labels_that_export_calls_proven_passes_verify(
    random_network: Callable[..., Any],
    spec: ModelSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    most: float,
):
    spec = dataclasses.replace(spec, output="labels", precision=precision)
    monkeypatch.setattr(ranges, "SIZES", ((64, 96),))
    monkeypatch.setattr(checks, "precision_of", lambda file: precision)  # the file is a template
    labels = render_golden(TorchEngine(random_network(), spec), spec, GOLDEN_SIZE).labels
    border = int(most * labels.size)
    wrong = [0]
    for module in (folders, checks):
        monkeypatch.setattr(module, "open_engine", lambda *_: WorstSample(labels, wrong[0]))
    for wrong[0] in (0, border - 1, border):
        write(random_network(), spec, tmp_path / "model")
        assert (
            verify(str(tmp_path / "model"), engines=["openvino"]).files[0].checks[0].failures == []
        )
    for wrong[0] in (border + 1, 9 * border):
        with pytest.raises(
            ModelError,
            match=r"in openvino what was trained: 9.*% of labels are equal \(at least 99\.",
        ):
            write(random_network(), spec, tmp_path / "refused")


@pytest.mark.usefixtures("quick")
def test_an_older_model_folder_is_replaced_whole(
    random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path
):
    write(random_network(), spec, tmp_path / "model")
    (tmp_path / "model/golden/labels.png").unlink()
    (tmp_path / "model/CARD.md").write_text("old")
    write(random_network(), spec, tmp_path / "model")
    assert contents(tmp_path / "model").keys() == {*FILES, "model.onnx"}
    assert (tmp_path / "model/CARD.md").read_text() != "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.usefixtures("quick")
def test_a_failure_in_the_middle_leaves_the_old_folder(
    random_network: Callable[..., Any],
    spec: ModelSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    write(random_network(), spec, tmp_path / "model")
    before = contents(tmp_path / "model")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "write_card", full)
    with pytest.raises(
        ModelError,
        match=r"Cannot write the model folder .*: No space left on device. Choose another --out",
    ):
        write(random_network(), spec, tmp_path / "model")
    assert contents(tmp_path / "model") == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.usefixtures("quick")
def test_a_file_that_gives_other_logits_is_not_written(
    random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path
):
    network = random_network()
    with torch.no_grad():
        network.head.classify.bias += 1  # the template has not
    with pytest.raises(
        ModelError,
        match=r"model.onnx does not give in openvino what was trained: logits are off by .* \(at most 1e-04\)",
    ):
        write(network, spec, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("names", [["photo.jpg"], ["model.onnx"], ["model.json", "notes.txt"]])
def test_a_folder_with_other_files_is_refused(spec: ModelSpec, tmp_path: Path, names: list[str]):
    for name in names:
        (tmp_path / name).write_text("precious")
    with pytest.raises(
        ModelError, match=rf"no part of a model folder: {names[-1]}. Choose another --out"
    ):
        write(None, spec, tmp_path)
    assert (tmp_path / names[-1]).read_text() == "precious"


def test_a_file_in_place_of_the_folder_is_refused(spec: ModelSpec, tmp_path: Path):
    (tmp_path / "model").write_text("precious")
    with pytest.raises(ModelError, match=r"model is a file. Choose a folder with --out"):
        write(None, spec, tmp_path / "model")


@pytest.mark.usefixtures("quick")
def test_an_empty_folder_is_filled(
    random_network: Callable[..., Any], spec: ModelSpec, tmp_path: Path
):
    write(random_network(), spec, tmp_path)
    assert contents(tmp_path).keys() == {*FILES, "model.onnx"}


def test_a_float16_folder_tells_how_far_the_attention_is_from_the_limit(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ranges, "SIZES", ((64, 96), (96, 64)))  # large photos are the benchmark's
    export_checkpoint(
        checkpoint, tmp_path / "model", ExportConfig(name="doors", precision="float16")
    )
    rows = json.loads((tmp_path / "model/ranges.json").read_text())
    assert len(rows) == 2 * 4  # b0 has four attentions
    assert all(row["exported"]["headroom"] > 10 for row in rows)
    card = (tmp_path / "model/CARD.md").read_text()
    assert "## Headroom in float16" in card
    assert "| backbone.stages.3.1.attention |" in card
    assert galago.load(str(tmp_path / "model")).spec.precision == "float16"
