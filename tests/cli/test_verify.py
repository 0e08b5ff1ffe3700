import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from galago.cli.main import app
from galago.errors import CheckpointError, ConfigError, DataError, ModelError
from galago.pretrained.resolve import ASSETS

pytestmark = pytest.mark.openvino
CHECKPOINT = Path(__file__).parents[2] / "checkpoints/b0-camvid.safetensors"


def verify(model: Path | str, out: Path, *flags: str) -> Result:
    return CliRunner().invoke(
        app, ["verify", str(model), "--out", str(out), "--engine", "openvino", *flags]
    )


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ASSETS / "b0-camvid", tmp_path / "model"))


def change(folder: Path, key: str, value: Any) -> None:
    text = json.loads((folder / "model.json").read_text())
    text[key] = value
    (folder / "model.json").write_text(json.dumps(text))


def test_a_good_folder_passes_and_leaves_a_page(tmp_path: Path):
    done = verify("b0-camvid", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["ok"]
    assert last["files"][0]["checks"][0]["relative_error"] < 1e-4
    page = (tmp_path / "verify.html").read_text()
    assert "Everything is within tolerance." in page
    assert page.count("data:image/png;base64,") == 4
    assert json.loads((tmp_path / "verify.json").read_text())["ok"]


def test_a_bad_folder_fails_with_1_and_says_what(bundled: Path, tmp_path: Path):
    change(bundled, "upsampling", "bicubic")
    done = verify(bundled, tmp_path / "out")
    assert done.exit_code == 1
    assert (
        "model.json: upsampling: model.json says 'bicubic', golden/description.json 'bilinear'"
        in done.stdout
    )
    assert "Something is out of tolerance." in (tmp_path / "out/verify.html").read_text()


@pytest.mark.torch
def test_a_checkpoint_is_compared_on_drawn_photos(tmp_path: Path):
    pytest.importorskip("torch")
    done = verify(
        "b0-camvid", tmp_path, "--against", str(CHECKPOINT), "--imgsz", "64", "96", "--json"
    )
    assert done.exit_code == 0, done.output
    assert [check["image"] for check in json.loads(done.stdout)["files"][0]["checks"]] == [
        "golden",
        "64 x 96",
    ]


@pytest.mark.torch
def test_labeled_photos_show_the_change_of_each_class(camvid: Path, tmp_path: Path):
    pytest.importorskip("torch")
    data = tmp_path / "few"
    lines = (camvid / "val.txt").read_text().splitlines()[:3]
    for name in (name for line in lines for name in line.split()):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(camvid / name, data / name)
    (data / "val.txt").write_text("\n".join(lines))
    done = verify(
        "b0-camvid",
        tmp_path / "out",
        "--against",
        str(CHECKPOINT),
        "--imgsz",
        "64",
        "--data",
        str(data),
        "--json",
    )
    assert done.exit_code == 0, done.output
    (file,) = json.loads(done.stdout)["files"]
    assert abs(file["mean_iou_drop"]) < 5e-4
    assert len(file["classes"]) == 11
    assert "IoU on the labeled photos" in (tmp_path / "out/verify.html").read_text()


def test_a_folder_of_an_older_galago_is_still_compared(bundled: Path, tmp_path: Path):
    text = json.loads((bundled / "model.json").read_text())
    for name in ("golden/stages.npz", "golden/description.json"):
        (bundled / name).unlink()
        del text["files"][name]
    (bundled / "model.json").write_text(json.dumps(text))
    assert verify(bundled, tmp_path / "out").exit_code == 0


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        (("--imgsz", "64"), ConfigError, "Name it with --against CHECKPOINT"),
        (
            ("--imgsz", "100", "--against", "none"),
            ConfigError,
            "multiples of 32, got --imgsz 100x100",
        ),
        (("--engine", "abacus"), ConfigError, "Unknown engine 'abacus'"),
        (("--data", "none"), DataError, "none"),
        pytest.param(
            ("--against", "none.safetensors"),
            CheckpointError,
            "There is no checkpoint at none.safetensors",
            marks=pytest.mark.skipif(find_spec("torch") is None, reason="needs torch"),
        ),
    ],
)
def test_misuse_is_told(
    tmp_path: Path, flags: tuple[str, ...], error: type[Exception], message: str
):
    done = verify("b0-camvid", tmp_path / "out", *flags)
    assert isinstance(done.exception, error)
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["photo.png", "logits.npy", "labels.png"])
def test_a_missing_part_of_golden_is_named(bundled: Path, tmp_path: Path, name: str):
    text = json.loads((bundled / "model.json").read_text())
    (bundled / "golden" / name).unlink()
    del text["files"][f"golden/{name}"]
    (bundled / "model.json").write_text(json.dumps(text))
    done = verify(bundled, tmp_path / "out")
    assert isinstance(done.exception, ModelError)
    assert f"golden/{name} is missing" in str(done.exception)


def test_a_file_with_another_checksum_is_refused(bundled: Path, tmp_path: Path):
    (bundled / "golden/logits.npy").write_bytes(b"")
    done = verify(bundled, tmp_path / "out")
    assert isinstance(done.exception, ModelError)
    assert "is not the file that was exported" in str(done.exception)
