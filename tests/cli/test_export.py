import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import galago
from galago.cli.main import app
from galago.errors import CheckpointError, ConfigError, ModelError
from galago.models.checkpoint import save_checkpoint, save_tensors
from galago.models.efficientvit import build_model
from galago.spec import ModelSpec

pytestmark = [pytest.mark.torch, pytest.mark.openvino]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of a random network, as training writes it."""
    torch.manual_seed(0)
    spec = ModelSpec(
        name="run", variant="b0", classes=("wall", "door"), palette=((0, 0, 0), (255, 0, 0))
    )
    metadata = {
        "variant": "b0",
        "num_classes": "2",
        "head": "b0-cityscapes",
        "spec": spec.to_json(),
    }
    save_checkpoint(tmp_path / "best.safetensors", build_model("b0", 2), metadata)
    return tmp_path / "best.safetensors"


def export(model: Path, *flags: str) -> Result:
    return CliRunner().invoke(
        app, ["export", "--model", str(model), "--out", str(model.parent / "doors"), *flags]
    )


def test_a_checkpoint_becomes_a_model_folder_of_its_name(checkpoint: Path):
    done = export(checkpoint, "--weights-license", "CC-BY-4.0")
    assert done.exit_code == 0, done.output
    assert f"Next: galago predict PHOTO --model {checkpoint.parent}/doors" in done.stdout
    spec = galago.load(str(checkpoint.parent / "doors")).spec
    assert spec.name == "doors"
    assert spec.licenses == {
        "code": "Apache-2.0 (galago)",
        "weights": "CC-BY-4.0",
        "data": "not stated",
    }


def test_standard_output_is_one_json_object_when_asked_for(checkpoint: Path):
    done = export(checkpoint, "--json", "--name", "b0-doors", "--imgsz", "64", "96")
    last = json.loads(done.stdout)
    assert last["out"] == str(checkpoint.parent / "doors")
    assert last["differences"]["onnx"] < 1e-4
    spec = galago.load(last["out"]).spec
    assert (spec.name, spec.input_size) == ("b0-doors", (64, 96))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--format", "gif"),
            "Unknown format 'gif'. Choose from: onnx, openvino, litert, ncnn, executorch, coreml, "
            "torch.",
        ),
        (
            ("--imgsz", "100"),
            "The network takes multiples of 32, got --imgsz 100 100. The nearest is --imgsz 96 96.",
        ),
        (
            ("--precision", "int8"),
            "int8 is calibrated and scored on labeled photos. Give them with --data.",
        ),
        (("--data", "x"), "--data is for --precision int8, which is missing."),
        (("--output", "boxes"), "Unknown output 'boxes'. Choose one of: logits, labels."),
        (
            ("--precision", "float16", "--format", "torch"),
            "torch files do not support precision float16. Formats that do: onnx, openvino, "
            "litert, "
            "coreml.",
        ),
    ],
)
def test_a_wrong_flag_is_misuse(checkpoint: Path, flags: tuple[str, ...], message: str):
    done = export(checkpoint, *flags)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == message


def test_a_missing_checkpoint_is_a_clear_error(tmp_path: Path):
    done = export(tmp_path / "best.safetensors")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(f"There is no checkpoint {tmp_path}/best.safetensors.")


def test_a_model_that_was_exported_already_is_misuse(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").touch()
    for model, message in (
        (tmp_path / "model", "is a model folder, exported already"),
        (Path("b0-camvid"), "is bundled"),
    ):
        done = export(model)
        assert isinstance(done.exception, ConfigError)
        assert message in str(done.exception)


@pytest.mark.parametrize("kept", [0, 1000, -1])
def test_a_checkpoint_that_was_cut_short_is_a_clear_error(checkpoint: Path, kept: int):
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept])
    done = export(checkpoint)
    assert isinstance(done.exception, CheckpointError)
    assert "is not a whole safetensors file" in str(done.exception)
    assert not (checkpoint.parent / "doors").exists()


def test_a_checkpoint_of_others_is_a_clear_error(tmp_path: Path):
    save_tensors(tmp_path / "best.safetensors", {"weight": torch.zeros(1)}, {})
    done = export(tmp_path / "best.safetensors")
    assert isinstance(done.exception, CheckpointError)
    assert "Use a checkpoint that `galago train` wrote" in str(done.exception)


def test_a_folder_of_other_files_is_not_overwritten(checkpoint: Path):
    (checkpoint.parent / "doors").mkdir()
    (checkpoint.parent / "doors/photo.jpg").write_text("precious")
    done = export(checkpoint)
    assert isinstance(done.exception, ModelError)
    assert (checkpoint.parent / "doors/photo.jpg").read_text() == "precious"
