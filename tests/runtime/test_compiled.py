import os
import sys
from pathlib import Path

import numpy as np
import pytest

from galago.files import cache_folder
from galago.runtime import compiled
from galago.runtime.compiled import keep, key_of, recall


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GALAGO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_kept_is_found_again():
    keep("a", b"compiled")
    assert recall("a") == b"compiled"
    assert recall("b") is None


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1], lambda content: content[:-1] + b"?"])
def test_a_damaged_file_is_not_used(folder: Path, damage):
    keep("a", b"compiled")
    (folder / "a.blob").write_bytes(damage((folder / "a.blob").read_bytes()))
    assert recall("a") is None


def test_a_key_tells_every_part_apart():
    assert key_of("file", "version") != key_of("file", "version 2") != key_of("file2", "version")


def test_the_oldest_go(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiled, "MOST_FILES", 2)
    for age, name in enumerate("abc"):
        keep(name, b"compiled")
        os.utime(folder / f"{name}.blob", (1000 + age, 1000 + age))
    keep("d", b"compiled")
    assert {path.name for path in folder.iterdir()} == {"c.blob", "d.blob"}


def test_an_empty_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GALAGO_CACHE", "")
    assert cache_folder() is None
    keep("a", b"compiled")
    assert recall("a") is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GALAGO_CACHE", str(tmp_path / "file"))
    keep("a", b"compiled")
    assert recall("a") is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_without_the_variable_it_is_the_cache_folder_of_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GALAGO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/galago")


@pytest.mark.openvino
def test_a_second_start_takes_the_compiled_model(folder: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch):
    from galago.runtime import openvino_engine

    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    first = openvino_engine.OpenVINOEngine(tiny_onnx).run(photo).copy()
    monkeypatch.setattr(openvino_engine, "read_model", lambda file: pytest.fail("compiled again"))
    assert (openvino_engine.OpenVINOEngine(tiny_onnx).run(photo) == first).all()
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        openvino_engine.OpenVINOEngine(tiny_onnx, threads=1)


@pytest.mark.openvino
def test_a_damaged_compiled_model_is_compiled_again(folder: Path, tiny_onnx: Path):
    from galago.runtime.openvino_engine import OpenVINOEngine

    photo = np.full((1, 32, 32, 3), 7, np.uint8)
    OpenVINOEngine(tiny_onnx)
    (blob,) = folder.iterdir()
    whole = blob.read_bytes()
    blob.write_bytes(whole[:100] + bytes(100) + whole[200:])
    assert (OpenVINOEngine(tiny_onnx).run(photo) == 7).all()
    assert recall(blob.stem) is not None
    keep(blob.stem, b"no compiled model, with a right checksum")
    assert (OpenVINOEngine(tiny_onnx).run(photo) == 7).all()
