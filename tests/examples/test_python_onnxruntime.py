"""examples/python-onnxruntime, as a program, and its functions against galago's."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

import galago
from galago import image as images
from galago.runtime.labelmap.label_map import label_map

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.onnxruntime

REPOSITORY = Path(__file__).parent.parent.parent
PROGRAM = REPOSITORY / "examples/python-onnxruntime/self_test.py"
BUNDLED = REPOSITORY / "src/galago/assets/b0-camvid"
ABSENT = ("galago", "cv2", "onnx", "torch")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("self_test", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model folder, to damage it."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "model"))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the example where neither galago nor what it needs can be imported."""
    block = f"import runpy, sys; sys.modules.update(dict.fromkeys({ABSENT}))"
    code = f"{block}; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rewrite(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change one file of a model folder, and its checksum with it."""
    content = change((folder / name).read_bytes())
    (folder / name).write_bytes(content)
    spec = json.loads((folder / "model.json").read_text())
    spec["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(spec))


def test_the_program_confirms_the_bundled_model_without_galago():
    done = run(BUNDLED)
    assert (done.returncode, done.stderr) == (0, "")
    assert "100.000% of 49152 pixels equal" in done.stdout
    assert done.stdout.endswith("PASS\n")


def test_the_program_refuses_a_damaged_folder(folder: Path):
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    done = run(folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == "FAIL: model.onnx is not the file that was exported. Copy the folder again.\n"
    )


def test_other_logits_than_the_golden_ones_fail(
    program: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
):
    np.save(folder / "golden/logits.npy", np.load(folder / "golden/logits.npy") * np.float32(1.001))
    rewrite(folder, "golden/logits.npy", lambda content: content)
    with pytest.raises(SystemExit, match=r"FAIL: this host does not give what was trained"):
        program.main(folder)
    assert "relative error 1.0e-03, at most 1e-04 allowed" in capsys.readouterr().out


def test_swapped_channels_fail(program: ModuleType, folder: Path):
    photo = images.load(folder / "golden/photo.png")
    images.save(folder / "golden/photo.png", np.ascontiguousarray(photo[..., ::-1]))
    rewrite(folder, "golden/photo.png", lambda content: content)
    with pytest.raises(SystemExit, match=r"FAIL: this host does not give what was trained"):
        program.main(folder)


def test_rules_that_the_program_does_not_know_are_refused(program: ModuleType, folder: Path):
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**spec, "upsampling": "bicubic"}))
    with pytest.raises(
        SystemExit, match=r"FAIL: upsampling is 'bicubic'; this program knows bilinear"
    ):
        program.main(folder)


@pytest.mark.parametrize("filter", [0, 1, 2, 3, 4])
def test_png_files_of_every_filter_are_read_as_opencv_reads_them(
    program: ModuleType, tmp_path: Path, filter: int
):
    photo = np.random.default_rng(filter).integers(0, 256, (5, 7, 3), np.uint8)
    bit = 8 << filter  # as libpng numbers them
    assert cv2.imwrite(str(tmp_path / "x.png"), photo, [cv2.IMWRITE_PNG_FILTER, bit])
    np.testing.assert_array_equal(program.read_png(tmp_path / "x.png"), photo[..., ::-1])


def test_photos_are_padded_as_galago_pads_them(program: ModuleType):
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    given = program.prepare(photo, json.loads((BUNDLED / "model.json").read_text()))
    expected, _ = galago.load(str(BUNDLED), engine="onnxruntime").prepare(photo)
    np.testing.assert_array_equal(given, expected)


def test_logits_are_upsampled_as_galago_upsamples_them(program: ModuleType):
    logits = np.random.default_rng(0).normal(size=(5, 8, 12)).astype(np.float32)
    given = program.label_map(logits, (50, 90), 1 / 8)
    expected = label_map(logits, (50, 90), (1 / 8, 1 / 8))
    assert (
        given == expected
    ).mean() > 0.999  # the same sums in another order: a tie may fall to either side


def test_a_call_without_a_folder_is_a_misuse():
    done = run()
    assert (done.returncode, done.stderr) == (2, "usage: python self_test.py FOLDER\n")
