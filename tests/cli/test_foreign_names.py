"""Names of strangers through whole commands: classes, models, folders and files, on screen, in
pages, pictures and JSON.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.pretrained.resolve import ASSETS
from galago.spec import ModelSpec

pytestmark = pytest.mark.openvino
NAMES = ("[/]", "pole [thin]\x1b[31m", "<b>背景</b>|`\u202e")
SHOWN = ("[/]", r"pole [thin]\x1b[31m", r"<b>\u80cc\u666f</b>|`\u202e")  # in ASCII
MODEL = "leaf [/] $x$ \x1b[1mmodel"
FILE = os.fsdecode(b"caf\xe9 []") if sys.platform == "linux" else "café [x]"


@pytest.fixture
def place(tmp_path: Path, write_onnx: Callable[..., Path], tiny_spec: ModelSpec) -> Path:
    """A folder with a model and a data set, all of whose names are hostile."""
    write_onnx(tmp_path / "model.onnx", dataclasses.replace(tiny_spec, name=MODEL, classes=NAMES))
    photo = np.zeros((32, 96, 3), np.uint8)
    for index in range(3):
        photo[:, 32 * index : 32 * index + 32, 2 - index] = 255  # BGR: red, green, blue
    mask = np.repeat(np.arange(3, dtype=np.uint8), 32)[None].repeat(32, axis=0)
    for split in ("train", "val"):
        for kind, pixels in (
            ("images", photo if split == "train" else np.minimum(photo, 250)),
            ("masks", mask),
        ):
            file = tmp_path / f"set [/] $y$/{kind}/{split}/{FILE}{split}.png"
            file.parent.mkdir(parents=True)
            file.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    (tmp_path / "set [/] $y$/data.yaml").write_text(f"names: {json.dumps(NAMES)}\n")
    return tmp_path


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose standard output is a log in ASCII."""
    return subprocess.run(
        [sys.executable, "-c", "from galago.cli.main import main; main()", *words],
        cwd=place, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "200"},
    )  # fmt: skip


def check_shown(text: str, names: tuple[str, ...] = SHOWN) -> None:
    assert "Traceback" not in text, text
    assert "\x1b" not in text
    for name in names:
        assert name in text, text


def test_data_check_shows_foreign_names_as_they_are(place: Path):
    done = run(place, "data", "check", "set [/] $y$", "--out", "out")
    assert done.returncode == 0, done.stderr
    check_shown(done.stdout, (*SHOWN, "set [/] $y$"))
    page = (place / "out/report.html").read_text(encoding="utf-8")
    assert r"&lt;b&gt;背景&lt;/b&gt;|`\u202e" in page
    assert r"pole [thin]\x1b[31m" in page
    if sys.platform == "linux":
        assert r"caf\xe9 []" in page
    assert json.loads((place / "out/check.json").read_text())


def test_val_shows_foreign_names_as_they_are(place: Path):
    done = run(
        place, "val", "--data", "set [/] $y$", "--model", "model.onnx", "--out", "out", "--json"
    )
    assert done.returncode == 0, done.stderr
    check_shown(done.stderr, (*SHOWN, r"leaf [/] $x$ \x1b[1mmodel on the 1 photos of set [/] $y$"))
    result = json.loads(done.stdout)
    assert [row["name"] for row in result["classes"]] == list(NAMES)
    assert result["mean_iou"] == 1
    page = (place / "out/report.html").read_text(encoding="utf-8")
    assert r"&lt;b&gt;背景&lt;/b&gt;|`\u202e" in page
    assert {file.name for file in (place / "out").iterdir()} == {
        "metrics.json",
        "confusion.png",
        "report.html",
    }


def test_predict_shows_foreign_names_as_they_are(place: Path):
    for file in (place / "set [/] $y$/images/val").iterdir():
        file.rename(place / "a [x]\x1b[2J.png")
    done = run(
        place,
        "predict",
        "--source",
        "a [[]*.png",
        "--model",
        "model.onnx",
        "--out",
        "out",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    check_shown(done.stderr)
    assert sorted(json.loads(done.stdout)["areas"]) == sorted(NAMES)
    (place / "a [x]\x1b[2J.png").write_bytes(b"broken")
    done = run(
        place,
        "predict",
        "--source",
        "a [[]*.png",
        "--model",
        "model.onnx",
        "--out",
        "out",
        "--json",
    )
    assert done.returncode == 1
    check_shown(done.stderr, (r"a [x]\x1b[2J.png",))


def test_bench_shows_foreign_names_as_they_are(place: Path):
    flags = (
        "--engine",
        "openvino",
        "--runs",
        "1",
        "--warmup",
        "0",
        "--imgsz",
        "32",
        "96",
        "--out",
        "out",
    )
    done = run(place, "bench", "--model", "model.onnx", "--data", "set [/] $y$", *flags)
    assert done.returncode == 0, done.stderr
    check_shown(done.stdout, (r"leaf [/] $x$ \x1b[1mmodel on ", "set [/] $y$"))
    assert json.loads((place / "out/bench.json").read_text())["model"] == MODEL


def test_verify_shows_foreign_names_as_they_are(place: Path):
    shutil.copytree(ASSETS / "b0-camvid", place / "m [/]")
    description = json.loads((place / "m [/]/model.json").read_text())
    description["name"], description["classes"][:3] = MODEL, NAMES
    (place / "m [/]/model.json").write_text(json.dumps(description))
    done = run(place, "verify", "m [/]", "--engine", "openvino", "--out", "out")
    assert done.returncode == 1  # classes are others than those of golden/
    check_shown(done.stdout, (r"leaf [/] $x$ \x1b[1mmodel", "[/]"))
    assert "\x1b" not in (place / "out/verify.html").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that is always full")
@pytest.mark.parametrize("command", ["val", "data check", "verify", "bench"])
def test_a_full_disk_names_the_file_and_says_what_to_do(place: Path, command: str):
    words = {
        "val": ("val", "--data", "set [/] $y$", "--model", "model.onnx"),
        "data check": ("data", "check", "set [/] $y$"),
        "verify": ("verify", "b0-camvid", "--engine", "openvino"),
        "bench": (
            "bench",
            "--model",
            "model.onnx",
            "--engine",
            "openvino",
            "--runs",
            "1",
            "--warmup",
            "0",
            "--imgsz",
            "32",
        ),
    }
    code = (
        "import errno, os; from galago._core import atomic_io as files\n"
        "class Full:\n"
        "    def __init__(self, path, **how): self.file = real(path, **how)\n"
        "    def __enter__(self): self.file.__enter__(); return self\n"
        "    def __exit__(self, *error): return self.file.__exit__(*error)\n"
        "    def write(self, data): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "real, files.write_beside = files.write_beside, Full\n"
        "from galago.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words[command], "--out", "out"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    first = {
        "val": "metrics.json",
        "data check": "check.json",
        "verify": "verify.json",
        "bench": "bench.json",
    }[command]
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"error: out/{first}: No space left on device. Free space or choose another folder.\n"
    ), done.stderr
    assert not list((place / "out").iterdir())
