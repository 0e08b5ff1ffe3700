import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from galago._core.atomic_io import cache_folder
from galago.runtime.engines import cache as compiled
from galago.runtime.engines.cache import (
    UnsafeCacheWarning,
    is_own,
    key_of,
    load_compiled,
    store_compiled,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GALAGO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_kept_is_found_again():
    store_compiled("a", b"compiled")
    assert load_compiled("a") == b"compiled"
    assert load_compiled("b") is None


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[:-1], lambda content: content[:-1] + b"?"],
)
def test_a_damaged_file_is_not_used(folder: Path, damage):
    store_compiled("a", b"compiled")
    (folder / "a.blob").write_bytes(damage((folder / "a.blob").read_bytes()))
    assert load_compiled("a") is None


def test_a_key_tells_every_part_apart():
    assert key_of("file", "version") != key_of("file", "version 2") != key_of("file2", "version")


def test_the_oldest_go(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiled, "MAX_COMPILED", 2)
    for age, name in enumerate("abc"):
        store_compiled(name, b"compiled")
        os.utime(folder / f"{name}.blob", (1000 + age, 1000 + age))
    store_compiled("d", b"compiled")
    assert {path.name for path in folder.iterdir()} == {"c.blob", "d.blob"}


def test_an_empty_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GALAGO_CACHE", "")
    assert cache_folder() is None
    store_compiled("a", b"compiled")
    assert load_compiled("a") is None


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GALAGO_CACHE", str(tmp_path / "file"))
    store_compiled("a", b"compiled")
    assert load_compiled("a") is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_without_the_variable_it_is_the_cache_folder_of_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GALAGO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/galago")


@pytest.mark.openvino
def test_a_second_start_takes_the_compiled_model(
    folder: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
):
    from galago.runtime.engines import openvino as openvino_engine

    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    first = openvino_engine.OpenVINOEngine(tiny_onnx).run(photo).copy()
    monkeypatch.setattr(openvino_engine, "read_model", lambda file: pytest.fail("compiled again"))
    assert (openvino_engine.OpenVINOEngine(tiny_onnx).run(photo) == first).all()
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        openvino_engine.OpenVINOEngine(tiny_onnx, threads=1)


@pytest.mark.openvino
def test_a_damaged_compiled_model_is_compiled_again(folder: Path, tiny_onnx: Path):
    from galago.runtime.engines.openvino import OpenVINOEngine

    photo = np.full((1, 32, 32, 3), 7, np.uint8)
    OpenVINOEngine(tiny_onnx)
    (blob,) = folder.iterdir()
    whole = blob.read_bytes()
    blob.write_bytes(whole[:100] + bytes(100) + whole[200:])
    assert (OpenVINOEngine(tiny_onnx).run(photo) == 7).all()
    assert load_compiled(blob.stem) is not None
    store_compiled(blob.stem, b"no compiled model, with a right checksum")
    assert (OpenVINOEngine(tiny_onnx).run(photo) == 7).all()


@POSIX
def test_the_folder_and_what_is_in_it_belong_to_the_user_alone(folder: Path):
    before = os.umask(0)
    try:
        store_compiled("a", b"compiled")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "a.blob").stat().st_mode & 0o777 == 0o600
    assert load_compiled("a") == b"compiled"


@POSIX
def test_an_older_folder_in_the_users_cache_becomes_the_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("GALAGO_CACHE")
    monkeypatch.setattr(compiled, "cache_folder", lambda: tmp_path / "old")
    (tmp_path / "old").mkdir(mode=0o755)
    store_compiled("a", b"compiled")
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o700
    assert load_compiled("a") == b"compiled"


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_not_used(folder: Path, mode: int):
    store_compiled("a", b"compiled")
    folder.chmod(mode)
    with pytest.warns(
        UnsafeCacheWarning, match="others can write it, so compiled models are not kept there"
    ):
        assert load_compiled("a") is None
    with pytest.warns(UnsafeCacheWarning):
        store_compiled("b", b"compiled")
    assert [path.name for path in folder.iterdir()] == ["a.blob"]
    assert folder.stat().st_mode & 0o777 == mode  # GALAGO_CACHE may be shared on purpose


@POSIX
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_compiled_model_that_others_can_write_is_not_used(folder: Path, mode: int):
    store_compiled("a", b"compiled")
    (folder / "a.blob").chmod(mode)
    assert load_compiled("a") is None
    store_compiled("a", b"compiled")
    assert load_compiled("a") == b"compiled"


@POSIX
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others"
)
def test_what_belongs_to_another_user_is_not_used(folder: Path):
    store_compiled("a", b"compiled")
    os.chown(folder / "a.blob", 12345, 12345)
    assert load_compiled("a") is None
    store_compiled("a", b"compiled")
    os.chown(folder, 12345, 12345)
    with pytest.warns(UnsafeCacheWarning, match="belongs to another user"):
        assert load_compiled("a") is None


@POSIX
@pytest.mark.parametrize(("owner", "own"), [("self", True), ("root", True), ("other", False)])
def test_files_of_the_user_and_of_root_are_trusted(owner: str, own: bool):
    user = {"self": os.geteuid(), "root": 0, "other": os.geteuid() + 1}[owner]
    assert is_own(os.stat_result((0o100644, 0, 0, 1, user, 0, 0, 0, 0, 0))) == own


def test_another_networks_compiled_model_under_this_ones_key_is_noticed(folder: Path):
    store_compiled("a", b"compiled")
    store_compiled("b", b"another network")
    shutil.copyfile(folder / "b.blob", folder / "a.blob")
    (folder / "a.blob").chmod(0o600)
    assert load_compiled("a") is None


@pytest.mark.openvino
def test_another_networks_compiled_model_does_not_label_silently(
    folder: Path, tiny_onnx: Path, tmp_path: Path
):
    onnx = pytest.importorskip("onnx")
    from galago.runtime.engines.openvino import OpenVINOEngine

    model = onnx.load(tiny_onnx)
    weight = onnx.numpy_helper.from_array(
        -np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "weight"
    )
    model.graph.initializer[0].CopyFrom(weight)
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    OpenVINOEngine(tiny_onnx)
    (own,) = folder.glob("*.blob")
    OpenVINOEngine(tmp_path / "other.onnx")
    (other,) = set(folder.glob("*.blob")) - {own}
    own.write_bytes(other.read_bytes())
    assert (OpenVINOEngine(tiny_onnx).run(np.full((1, 32, 32, 3), 7, np.uint8)) == 7).all()
