import json
from pathlib import Path
from types import SimpleNamespace

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
    cv2.imwrite(str(tmp_path / "images/val/a.png"), np.array([[[0, 0, 255], [0, 0, 0], [0, 0, 0], [0, 0, 0]]], np.uint8))
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


def test_flags_reach_the_engine(data: Path, loaded: dict[str, object]):
    val(data, "--model", "m", "--engine", "openvino", "--threads", "2", "--half", "--imgsz", "64", "96")
    assert loaded == {"model": "m", "engine": "openvino", "threads": 2, "half": True, "imgsz": (64, 96), "setting": None}


def test_a_model_for_other_classes_is_an_error_that_shows_both(data: Path, loaded: dict[str, object]):
    (data / "data.yaml").write_text("names: [road, bus]")
    done = val(data)
    assert isinstance(done.exception, ConfigError)
    assert "knows the classes road, car, sky, but the data set has road, bus" in str(done.exception)


def test_a_checkpoint_takes_no_flags_of_engines(data: Path):
    done = val(data, "--model", "best.safetensors", "--half")
    assert isinstance(done.exception, ConfigError)
    assert "A checkpoint runs in torch as it was trained" in str(done.exception)
