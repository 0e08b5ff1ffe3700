"""examples/cpp-openvino, built as its README says and run."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from galago import image as images

REPOSITORY = Path(__file__).parent.parent.parent
EXAMPLE = REPOSITORY / "examples/cpp-openvino"
BUNDLED = REPOSITORY / "src/galago/assets/b0-camvid"
OPTIMIZE = "-O0"  # reading the headers of OpenVINO takes long enough

pytestmark = [pytest.mark.openvino, pytest.mark.slow]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built once."""
    for tool in ("cmake", "make", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    openvino = importlib.util.find_spec("openvino")
    if openvino is None or openvino.origin is None:
        pytest.skip("openvino is not installed")
    package = Path(openvino.origin).parent
    if not (package / "include/openvino/openvino.hpp").is_file():
        pytest.skip("this openvino package has no C++ headers")
    build = tmp_path_factory.mktemp("build")
    flags = [f"-DOpenVINO_DIR={package / 'cmake'}", f"-DCMAKE_CXX_FLAGS={OPTIMIZE}"]
    prepared = subprocess.run(
        ["cmake", "-S", EXAMPLE, "-B", build, *flags], capture_output=True, text=True, check=False
    )
    if "Could NOT find PNG" in prepared.stderr:
        pytest.skip("libpng is not installed with its headers")
    assert prepared.returncode == 0, prepared.stderr
    built = subprocess.run(["cmake", "--build", build], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return build / "self_test"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model folder, to damage it."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "model"))


def run(program: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_the_program_confirms_the_bundled_model(program: Path):
    done = run(program, BUNDLED)
    assert (done.returncode, done.stderr) == (0, "")
    assert "100.000% of 49152 pixels equal" in done.stdout
    assert done.stdout.endswith("PASS\n")


def test_other_logits_than_the_golden_ones_fail(program: Path, folder: Path):
    np.save(folder / "golden/logits.npy", np.load(folder / "golden/logits.npy") * np.float32(1.001))
    done = run(program, folder)
    assert done.returncode == 1
    assert "relative error 1.0e-03, at most 1e-04 allowed" in done.stdout
    assert done.stderr == "FAIL: this host does not give what was trained.\n"


def test_swapped_channels_fail(program: Path, folder: Path):
    photo = images.load(folder / "golden/photo.png")
    images.save(folder / "golden/photo.png", np.ascontiguousarray(photo[..., ::-1]))
    assert run(program, folder).returncode == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.json", "cannot read"),
        ("golden/logits.npy", "is no (K, h, w) float32 array"),
        ("golden/photo.png", "photo.png: "),
    ],
)
def test_an_empty_file_is_named(program: Path, folder: Path, name: str, says: str):
    (folder / name).unlink() if name == "model.json" else (folder / name).write_bytes(b"")
    done = run(program, folder)
    assert done.returncode == 1
    assert done.stderr.startswith("FAIL: ")
    assert says in done.stderr


def test_rules_that_the_program_does_not_know_are_refused(program: Path, folder: Path):
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**spec, "upsampling": "bicubic"}, indent=2))
    done = run(program, folder)
    assert (done.returncode, done.stderr) == (
        1,
        "FAIL: upsampling is bicubic; this program knows bilinear\n",
    )


def test_a_call_without_a_folder_is_a_misuse(program: Path):
    assert run(program).returncode == 2
