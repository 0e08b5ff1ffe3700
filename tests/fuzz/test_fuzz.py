"""Some seconds of damaged files for every reader; `make fuzz` goes on for longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"
SECONDS = float(os.environ.get("GALAGO_FUZZ_SECONDS", "120"))  # for all targets together
TARGETS = (
    "image", "rows", "mask", "video", "data-yaml", "palette", "folder", "golden", "setting", "coco",
    "checkpoint", "onnx-metadata", "openvino-onnx", "openvino-ir", "onnxruntime", "ncnn", "litert",
    "executorch", "torch",
)  # fmt: skip


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for exported files, made once."""
    return tmp_path_factory.mktemp("corpus")


def test_no_target_is_left_out():
    asked = subprocess.run([sys.executable, str(RUN), "--help"], capture_output=True, text=True)
    assert all(f"{name}," in asked.stdout or f"{name}}}" in asked.stdout for name in TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_are_read_or_refused_in_one_line(target: str, corpus: Path, tmp_path: Path):
    arguments = ["--target", target, "--seconds", str(SECONDS / len(TARGETS)), "--seed", "0"]
    places = ["--corpus", str(corpus), "--keep", str(tmp_path / "found")]
    done = subprocess.run(
        [sys.executable, str(RUN), *arguments, *places], capture_output=True, text=True
    )
    if done.returncode == 0 and not done.stdout:
        pytest.skip(f"what {target} needs is not installed")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_inputs(tmp_path: Path):
    arguments = ["--target", "palette", "--count", "200", "--seed", "5"]
    places = ["--corpus", str(tmp_path / "corpus"), "--keep", str(tmp_path / "found")]
    command = [sys.executable, str(RUN), *arguments, *places]
    first, second = (subprocess.run(command, capture_output=True, text=True) for _ in range(2))
    assert first.stdout.startswith("palette: 200 inputs, ")
    assert first.stdout == second.stdout
