import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from galago import image as images
from galago._core.device import processor
from galago.benchmarking.profile import DeviceProfile
from galago.cli.main import app
from galago.errors import ConfigError, MissingDependencyError

pytestmark = pytest.mark.openvino


@pytest.fixture
def place(tiny_onnx: Path, tmp_path: Path) -> Path:
    """A folder with photo.png and setting.json of the tiny model on this device."""
    images.save(tmp_path / "photo.png", np.full((40, 60, 3), (9, 0, 0), np.uint8))
    write(
        tmp_path,
        model=str(tiny_onnx),
        model_sha256=hashlib.sha256(tiny_onnx.read_bytes()).hexdigest(),
    )
    return tmp_path


def write(place: Path, **change: object) -> None:
    """Write setting.json, or change it."""
    path = place / "setting.json"
    setting = DeviceProfile.from_json(path.read_text()) if path.exists() else DeviceProfile(
        model="", model_sha256="", engine="openvino", precision="float32", threads=None, imgsz=(64, 64), photo_size=(40, 60),
        median_ms=5.0, mean_iou=None, scored_on=None, device=processor(), galago_version="0.1.0",
    )  # fmt: skip
    path.write_text(dataclasses.replace(setting, **change).to_json())


def predict(place: Path, *flags: str) -> Result:
    return CliRunner().invoke(
        app, ["predict", "--source", str(place / "photo.png"), "--out", str(place / "out"), *flags]
    )


def test_predict_takes_a_setting_and_says_so(place: Path):
    done = predict(place, "--setting", str(place / "setting.json"), "--json")
    assert done.exit_code == 0, done.output
    first = f"Setting: {place / 'tiny.onnx'}, openvino in float32, threads as the engine decides, photos fitted into 64 x 64; "
    assert done.stderr.startswith(f"{first}measured 5.0 ms for a photo of 40 x 60\n")
    assert "warning" not in done.stderr
    assert json.loads(done.stdout)["model"] == "tiny"
    assert images.load_labels(place / "out/photo.png").shape == (40, 60)


def test_a_setting_that_lies_there_is_not_taken_unasked(place: Path):
    done = predict(place, "--model", str(place / "tiny.onnx"))
    assert done.exit_code == 0
    assert "DeviceProfile" not in done.output


def test_another_device_is_one_warning_line(place: Path):
    write(place, device="Toaster (neon)")
    done = predict(place, "--setting", str(place / "setting.json"))
    assert done.exit_code == 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: The setting was measured on Toaster (neon), and this is ")
    assert line.endswith("times differ. Run `galago bench --budget` again.")


def test_another_model_is_misuse(place: Path):
    write(place, model_sha256="ab" * 32)
    done = predict(place, "--setting", str(place / "setting.json"))
    assert isinstance(done.exception, ConfigError)
    assert "The setting was measured with another model file" in str(done.exception)


def test_a_setting_whose_engine_is_missing_is_the_usual_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    write(place, engine="onnxruntime")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = predict(place, "--setting", str(place / "setting.json"))
    assert isinstance(done.exception, MissingDependencyError)
    assert str(done.exception) == "onnxruntime is missing. Run: pip install 'galago[onnxruntime]'"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--engine", "onnxruntime"), "The setting has engine openvino, got onnxruntime beside it"),
        (("--threads", "2"), "The setting has threads unset, got 2 beside it"),
        (("--half",), "The setting has precision float32, got bfloat16 beside it"),
        (("--imgsz", "32", "64"), "The setting has imgsz 64 x 64, got 32 x 64 beside it"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "val"])
def test_flags_that_contradict_a_setting_are_misuse(
    place: Path, command: str, flags: tuple[str, ...], message: str
):
    (place / "images/val").mkdir(parents=True)
    (place / "masks/val").mkdir(parents=True)
    images.save(place / "images/val/a.png", np.zeros((8, 8, 3), np.uint8))
    images.save_labels(place / "masks/val/a.png", np.zeros((8, 8), np.uint8), ((0, 0, 0),))
    (place / "data.yaml").write_text("names: [red, green, blue]")
    what = (
        ("--source", str(place / "photo.png")) if command == "predict" else ("--data", str(place))
    )
    done = CliRunner().invoke(
        app,
        [
            command,
            *what,
            "--setting",
            str(place / "setting.json"),
            "--out",
            str(place / "out"),
            *flags,
        ],
    )
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(message)
    assert not (place / "out").exists()


def test_a_flag_that_agrees_is_fine(place: Path):
    assert (
        predict(
            place, "--setting", str(place / "setting.json"), "--imgsz", "64", "--engine", "openvino"
        ).exit_code
        == 0
    )


@pytest.mark.parametrize(
    ("flags", "imgsz"), [(("64",), (64, 64)), (("32", "64"), (32, 64)), (("32x64",), (32, 64))]
)
def test_predict_fits_photos_into_a_size(
    place: Path, flags: tuple[str, ...], imgsz: tuple[int, int]
):
    assert predict(
        place, "--setting", str(place / "setting.json"), "--imgsz", *flags
    ).exit_code == (0 if imgsz == (64, 64) else 1)
    done = predict(place, "--model", str(place / "tiny.onnx"), "--imgsz", *flags)
    assert done.exit_code == 0, done.output
    assert images.load_labels(place / "out/photo.png").shape == (40, 60)


def test_a_size_that_is_none_is_misuse(place: Path):
    done = predict(place, "--model", str(place / "tiny.onnx"), "--imgsz", "0")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("Expected a size in pixels as height and width")
    assert (
        predict(place, "--model", str(place / "tiny.onnx"), "--imgsz", "1", "2", "3").exit_code == 2
    )
    assert predict(place, "--imgsz").exit_code == 2
