import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from galago.cli.main import app
from galago.errors import ConfigError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One photo: red is road, black is car, the last of its 4 pixels is unlabeled."""
    for folder in ("images/val", "masks/val"):
        (tmp_path / folder).mkdir(parents=True)
    cv2.imwrite(
        str(tmp_path / "images/val/a.png"),
        np.array([[[0, 0, 255], [0, 0, 0], [0, 0, 0], [0, 0, 0]]], np.uint8),
    )
    cv2.imwrite(str(tmp_path / "masks/val/a.png"), np.array([[0, 0, 1, 255]], np.uint8))
    (tmp_path / "data.yaml").write_text("names: [road, car, sky]")
    return tmp_path


class ByColor:
    """A segmenter that says road where a photo is red, and car elsewhere."""

    spec = SimpleNamespace(name="by-color", classes=("road", "car", "sky"))

    def __call__(self, image: np.ndarray) -> SimpleNamespace:
        return SimpleNamespace(labels=(image[..., 0] == 0).astype(np.uint8))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Let `galago.load` return ByColor; holds what it was asked for."""
    asked: dict[str, object] = {}

    def load(model: str | None, **flags: object) -> ByColor:
        asked.update(flags, model=model)
        return ByColor()

    monkeypatch.setattr("galago.load", load)
    return asked


def val(data: Path, *flags: str) -> Result:
    return CliRunner().invoke(app, ["val", "--data", str(data), "--out", str(data / "out"), *flags])


def test_prints_a_table_and_both_means(data: Path, loaded: dict[str, object]):
    done = val(data)
    assert done.exit_code == 0, done.output
    # road: 1 of 2 pixels found; car: 1 found, 1 claimed wrongly; sky occurs nowhere
    for row in (
        ("road", "0.5000", "0.5000", "0.6667", "66.67%"),
        ("car", "0.5000", "1.0000", "0.6667", "33.33%"),
        ("sky", "n/a"),
    ):
        assert any(all(word in line for word in row) for line in done.stdout.splitlines()), row
    assert "0.5000  mean IoU over the classes that occur" in done.stdout
    assert "0.6667  pixel accuracy" in done.stdout
    assert "0.7500  mean accuracy" in done.stdout


def test_standard_output_is_one_json_object_when_asked_for(data: Path, loaded: dict[str, object]):
    last = json.loads(val(data, "--json").stdout)  # and the table goes to standard error
    assert last["mean_iou"] == last["mean_iou_all_classes"] == 0.5
    assert last["photos"] == 1
    assert last["split"] == "val"
    assert last["classes"][2]["iou"] is None


def test_saves_metrics_and_picture(data: Path, loaded: dict[str, object]):
    val(data)
    saved = json.loads((data / "out/metrics.json").read_text())
    assert saved["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (data / "out/confusion.png").is_file()
    assert saved["setup"]["how"] == "one scale, no flip"
    assert saved["boundary"] is saved["calibration"] is None
    page = (data / "out/report.html").read_text()
    assert "how: one scale, no flip" in page
    assert "road taken for car: 50 % of road" in page


def test_flags_reach_the_engine(data: Path, loaded: dict[str, object]):
    val(
        data,
        "--model",
        "m",
        "--engine",
        "openvino",
        "--threads",
        "2",
        "--precision",
        "bfloat16",
        "--imgsz",
        "64",
        "96",
    )
    assert loaded == {
        "model": "m",
        "engine": "openvino",
        "threads": 2,
        "precision": "bfloat16",
        "imgsz": (64, 96),
        "profile": None,
    }


def test_a_model_for_other_classes_is_an_error_that_shows_both(
    data: Path, loaded: dict[str, object]
):
    (data / "data.yaml").write_text("names: [road, bus]")
    done = val(data)
    assert isinstance(done.exception, ConfigError)
    assert "knows the classes road, car, sky, but the data set has road, bus" in str(done.exception)


def test_a_checkpoint_takes_no_flags_of_engines(data: Path):
    done = val(data, "--model", "best.safetensors", "--precision", "bfloat16")
    assert isinstance(done.exception, ConfigError)
    assert "A checkpoint runs in torch as it was trained" in str(done.exception)


@pytest.fixture
def colors(tmp_path: Path, write_onnx: Callable[..., Path]) -> Path:
    """A model that says which color channel is the brightest, and a photo: left red, right blue,
    with masks that say so.
    """
    write_onnx(tmp_path / "tiny.onnx")
    for folder in ("images/val", "masks/val"):
        (tmp_path / folder).mkdir(parents=True)
    photo, mask = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.uint8)
    photo[:, :48, 2], photo[:, 48:, 0], mask[:, 48:] = 255, 255, 2
    cv2.imwrite(str(tmp_path / "images/val/a.png"), photo)
    cv2.imwrite(str(tmp_path / "masks/val/a.png"), mask)
    (tmp_path / "data.yaml").write_text("names: [red, green, blue]")
    return tmp_path


def val_onnx(data: Path, *flags: str) -> dict[str, Any]:
    done = val(
        data, "--model", str(data / "tiny.onnx"), "--engine", "onnxruntime", "--json", *flags
    )
    assert done.exit_code == 0, done.output
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--flip",),
        ("--scales", "1,2"),
        ("--slide", "32", "64", "--stride", "32"),
        ("--slide", "64", "--flip", "--scales", "2"),
    ],
)
def test_views_of_a_network_that_sees_colors_alone_change_nothing(
    colors: Path, flags: tuple[str, ...]
):
    printed = val_onnx(colors, *flags)
    assert printed["mean_iou"] == pytest.approx(1.0)
    assert printed["mean_iou_interval"]["lower"] == printed["mean_iou_interval"]["upper"]
    assert printed["setup"]["flip"] == ("--flip" in flags)


def test_the_table_and_the_files_say_how_photos_were_shown(colors: Path):
    done = val(
        colors,
        "--model",
        str(colors / "tiny.onnx"),
        "--slide",
        "32",
        "64",
        "--flip",
        "--boundary",
        "--calibration",
    )
    assert "windows of 32 x 64 every 22 x 43" in " ".join(done.stdout.split())
    assert "1.0000  mean boundary IoU" in done.stdout
    assert "expected calibration error" in done.stdout
    saved = json.loads((colors / "out/metrics.json").read_text())
    assert saved["setup"]["slide"] == [32, 64]
    assert saved["setup"]["stride"] == [22, 43]
    assert saved["boundary"]["classes"] == {"red": 1.0, "green": None, "blue": 1.0}
    # logits of 255 and 0: the network is certain, but for the pixels between the last logits of
    # both halves
    assert saved["calibration"]["error"] < 0.06


def test_a_protocol_takes_its_own_classes_and_no_views(colors: Path):
    model = str(colors / "tiny.onnx")
    done = val(colors, "--model", model, "--protocol", "cityscapes")
    assert "belongs to its 19 classes, got 3: class 0 should be road, got red" in str(
        done.exception
    )
    done = val(colors, "--model", model, "--protocol", "cityscapes", "--flip")
    assert "A protocol shows each photo once and whole" in str(done.exception)
