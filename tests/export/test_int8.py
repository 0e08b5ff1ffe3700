"""int8: the search for blocks that have to stay in float, and real quantizers on a small network."""

import json
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import galago
from galago.data.sample import Sample
from galago.errors import ConfigError, ModelError
from galago.export.folder import write_model_folder
from galago.export.int8 import ALWAYS_FLOAT, Int8, select_float_blocks
from galago.export.quantize import QUANTIZERS, block_of, nncf_package
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.table import check_formats
from galago.labels import CAMVID, LabelSet
from galago.models.checkpoint import load_checkpoint
from galago.models.inference import TorchEngine
from galago.runtime.engines.table import installed_engines, open_engine
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec

pytestmark = pytest.mark.torch
SIZE = (96, 128)
SPEC = ModelSpec(
    name="streets",
    variant="b0",
    classes=CAMVID.names,
    palette=CAMVID.palette,
    precision="int8",
    input_size=SIZE,
    resize="stretch",
)
PACKAGES = {
    "openvino": ("nncf", "onnx"),
    "onnx": ("nncf", "onnx"),
    "litert": ("ai_edge_quantizer", "litert_torch"),
}


class Photos:
    """Photos whose true labels are what the float network says, so that int8 can only lose."""

    def __init__(self, network: Any, count: int, first: int = 0) -> None:
        segmenter = Segmenter(TorchEngine(network, SPEC), SPEC)
        images = [render_scene(first + index, SIZE).image for index in range(count)]
        self.samples = [
            Sample(f"photo{index}", image, segmenter(image).labels)
            for index, image in enumerate(images)
        ]
        self.label_set = LabelSet(SPEC.classes, SPEC.palette)
        self.names = [sample.name for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


@pytest.fixture(scope="module")
def trained() -> Any:
    """The bundled network: one with random weights does not survive eight bits."""
    return load_checkpoint(Path(__file__).parents[2] / "checkpoints/b0-camvid.safetensors")[0]


def needs(*packages: str) -> None:
    """Skip where a package is missing, without importing it: NNCF is to be imported by galago."""
    if missing := [name for name in packages if not find_spec(name)]:
        pytest.skip(f"could not import {missing[0]!r}")


def silent(what: str) -> None:
    pass


def attempts(costs: dict[str, float]) -> tuple[list[list[str]], Callable[[Sequence[str]], float]]:
    """Return a list of what was tried, and a quantizer that loses the cost of each block that is
    not in float.
    """
    tried: list[list[str]] = []

    def attempt(kept: Sequence[str]) -> float:
        tried.append([*kept])
        return 0.9 - sum(cost for block, cost in costs.items() if block not in kept)

    return tried, attempt


def test_nothing_more_stays_in_float_where_the_loss_is_small():
    tried, attempt = attempts({"a": 0.001, "b": 0.002})
    assert select_float_blocks(["a", "b"], attempt, 0.89, silent) == (
        [*ALWAYS_FLOAT],
        pytest.approx(0.897),
    )
    assert len(tried) == 1


def test_the_blocks_that_cost_most_stay_in_float_and_no_more_than_needed():
    tried, attempt = attempts({"a": 0.01, "b": 0.2, "c": 0.001, "d": 0.03})
    kept, score = select_float_blocks(["a", "b", "c", "d"], attempt, 0.885, silent)
    assert kept == [*ALWAYS_FLOAT, "b", "d"]
    assert score == pytest.approx(0.889)
    assert tried[-1] == kept  # the file that is left is that of the last attempt


def test_a_loss_that_stays_too_large_is_an_error():
    _, attempt = attempts({"a": 0.1, "elsewhere": 0.1})
    with pytest.raises(
        ModelError,
        match=r"int8 does not reach a mean IoU of 0\.8900, even with every convolution in float: 0\.8000",
    ):
        select_float_blocks(["a"], attempt, 0.89, silent)


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("backbone.stages.3.1.attention.project.conv", "backbone.stages.3.1"),
        ("backbone.stages.0.0.conv", "backbone.stages.0.0"),
        ("head.middle.0.point.conv", "head.middle"),
        (None, "head.upsample"),
    ],
)
def test_a_layer_belongs_to_a_block(layer: str | None, block: str):
    assert block_of(layer) == block


@pytest.mark.slow
@pytest.mark.parametrize(
    "format",
    [
        pytest.param("openvino", marks=pytest.mark.openvino),
        pytest.param("litert", marks=pytest.mark.litert),
    ],
)
def test_an_int8_file_is_small_and_near_and_says_what_it_lost(
    trained: Any, tmp_path: Path, format: str
):
    needs(*PACKAGES[format])
    int8 = Int8(Photos(trained, 6), Photos(trained, 3, first=6), max_drop=0.5)
    written = write_model_folder(
        trained, SPEC, tmp_path / "model", facts={}, formats=[format], int8=int8
    )
    (result,) = written.int8
    assert result.size_ratio < 0.6
    assert result.float_blocks[:1] == ALWAYS_FLOAT
    assert result.mean_iou_float > 0.99
    assert result.drop <= 0.5
    assert 0 < written.differences[format] < 0.3
    assert "## What int8 costs" in (tmp_path / "model/CARD.md").read_text()
    assert galago.load(tmp_path / "model").spec.precision == "int8"
    assert json.loads((tmp_path / "model/model.json").read_text())["precision"] == "int8"


@pytest.mark.slow
@pytest.mark.openvino
def test_blocks_in_float_are_nearer(trained: Any, tmp_path: Path):
    needs("nncf")
    onnx = pytest.importorskip("onnx")
    from galago.export.writers.onnx import write_onnx

    write_onnx(DeployedNetwork(trained, SPEC), SPEC, tmp_path / "float.onnx")
    photos = [sample.image[None] for sample in Photos(trained, 4).samples]
    expected = TorchEngine(trained, SPEC).run(photos[0])
    errors = []
    blocks = {
        block_of(name)
        for name, part in trained.named_modules()
        if isinstance(part, torch.nn.Conv2d)
    }
    for keep in (ALWAYS_FLOAT, (*ALWAYS_FLOAT, *blocks)):
        QUANTIZERS["onnx"](tmp_path / "float.onnx", tmp_path / "model.onnx", photos, keep)
        given = open_engine(tmp_path / "model.onnx", installed_engines(["model.onnx"])[0]).run(
            photos[0]
        )
        errors.append(np.linalg.norm(given - expected) / np.linalg.norm(expected))
    assert errors[1] < 0.3 * errors[0]
    described = onnx.load(tmp_path / "model.onnx").metadata_props
    assert (
        ModelSpec.from_json(next(entry.value for entry in described if entry.key == "galago"))
        == SPEC
    )


def test_nncf_has_nothing_to_report_with():
    needs("nncf")
    nncf_package()
    assert sys.modules["openvino_telemetry"] is None


def test_int8_labels_are_refused():
    with pytest.raises(ConfigError, match="int8 files give logits"):
        check_formats(["onnx"], SPEC.__class__(**{**vars(SPEC), "output": "labels"}))


def test_a_loss_out_of_range_is_misuse(trained: Any):
    photos = Photos(trained, 1)
    with pytest.raises(
        ConfigError, match=r"--max-drop needs points of mean IoU from 0 to 100, got -1"
    ):
        Int8(photos, photos, max_drop=-0.01)
