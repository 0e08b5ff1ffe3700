"""Model files that end the process of an engine are tried in another one first."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import galago
from galago.errors import ModelError
from galago.runtime.engines import trial
from galago.runtime.engines.table import open_engine

BUNDLED = Path(galago.__file__).parent / "assets/b0-camvid"
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"


@pytest.fixture(autouse=True)
def new_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start with a cache, and a memory, that knows no file."""
    monkeypatch.setenv("GALAGO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "_known", set())
    return tmp_path / "cache"


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the trials; each passes."""
    counted: list[str] = []

    def pass_trial(file: Path, engine: str, threads: int | None, precision: str) -> bool:
        counted.append(f"{engine} {file.name}")
        return True

    monkeypatch.setattr(trial, "_try_in_child", pass_trial)
    return counted


def without_weights(graph: Any) -> None:
    del graph.node[3].input[1:]


def wrong_group(graph: Any) -> None:
    graph.node[3].attribute.append(__import__("onnx").helper.make_attribute("group", 7))


@pytest.mark.openvino
@pytest.mark.parametrize("change", [without_weights, wrong_group])
def test_a_folder_whose_checksum_is_right_and_whose_known_operator_crashes_is_one_clear_error(
    tiny_folder: Path, change: Callable[[Any], None]
):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_folder / "model.onnx")
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("HardSwish", ["before"], ["logits"]))
    change(model.graph)
    content = model.SerializeToString()
    (tiny_folder / "model.onnx").write_bytes(content)
    described = json.loads((tiny_folder / "model.json").read_text())
    described["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    (tiny_folder / "model.json").write_text(json.dumps(described))
    with pytest.raises(
        ModelError,
        match=r"OpenVINO crashes on .*model\.onnx: it cannot convert|is no whole ONNX file",
    ):
        galago.load(tiny_folder, engine="openvino")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_crash_of_any_engine_is_an_error_and_is_not_remembered(
    tiny_folder: Path, name: str, new_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip(name)
    monkeypatch.setattr(trial, "CHILD", CRASH)
    for _ in range(2):
        with pytest.raises(
            ModelError,
            match=rf"{trial.DISPLAY_NAMES[name]} crashes on .*model\.onnx.*export it again",
        ):
            galago.load(tiny_folder, engine=name)
    assert not list(new_cache.glob("*.tried"))


def test_a_trial_without_end_is_an_error(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(trial, "CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(trial, "LONGEST_SECONDS", 1)
    with pytest.raises(
        ModelError, match=r"ONNX Runtime does not come to an end with .*model\.onnx"
    ):
        galago.load(tiny_folder, engine="onnxruntime")


def test_a_file_is_tried_once_a_cache_and_engine(
    tiny_folder: Path, tries: list[str], monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    for name in ("onnxruntime", "onnxruntime", "openvino"):
        galago.load(tiny_folder, engine=name)
    monkeypatch.setattr(trial, "_known", set())  # as another process has it
    galago.load(tiny_folder, engine="onnxruntime")
    assert tries == ["onnxruntime model.onnx", "openvino model.onnx"]


def test_a_note_that_others_can_write_does_not_count(
    tiny_folder: Path, tries: list[str], new_cache: Path, monkeypatch: Any
):
    pytest.importorskip("onnxruntime")
    galago.load(tiny_folder, engine="onnxruntime")
    for note in new_cache.glob("*.tried"):
        note.chmod(0o666)
    monkeypatch.setattr(trial, "_known", set())
    galago.load(tiny_folder, engine="onnxruntime")
    assert len(tries) == 2


def test_what_was_exported_here_and_copies_of_the_bundled_model_are_not_tried(
    tiny_folder: Path, tmp_path: Path, tries: list[str]
):
    pytest.importorskip("onnxruntime")
    trial.vouch(tiny_folder / "model.onnx")
    galago.load(tiny_folder, engine="onnxruntime")
    shutil.copytree(BUNDLED, tmp_path / "copy")
    galago.load(tmp_path / "copy", engine="onnxruntime")
    assert not tries


def test_an_error_that_the_engine_reports_comes_from_the_engine(tiny_onnx: Path):
    pytest.importorskip("onnxruntime")
    tiny_onnx.write_bytes(tiny_onnx.read_bytes()[:-40])
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot read|no whole ONNX file"):
        open_engine(tiny_onnx, "onnxruntime")


def test_a_file_that_passes_its_trial_runs(tiny_onnx: Path, new_cache: Path):
    pytest.importorskip("onnxruntime")
    given = open_engine(tiny_onnx, "onnxruntime").run(np.full((1, 32, 32, 3), 9, np.uint8))
    assert given.shape == (1, 3, 4, 4)
    assert len(list(new_cache.glob("*.tried"))) == 1
