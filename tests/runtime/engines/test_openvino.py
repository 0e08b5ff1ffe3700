import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import galago
from galago import image as images
from galago.errors import ConfigError, ModelError
from galago.runtime.engines.openvino import OpenVINOEngine, available_precisions

pytestmark = pytest.mark.openvino


def setting(engine: object, name: str) -> object:
    return engine._request.get_compiled_model().get_property(name)  # type: ignore[attr-defined]


def test_computes_in_float32_on_any_cpu(tiny_onnx: Path):
    assert setting(OpenVINOEngine(tiny_onnx), "INFERENCE_PRECISION_HINT").to_string() == "f32"  # type: ignore[attr-defined]


def test_loading_computes_in_float32_by_default(tiny_onnx: Path):
    assert setting(galago.load(tiny_onnx).engine, "INFERENCE_PRECISION_HINT").to_string() == "f32"  # type: ignore[attr-defined]


def test_bfloat16_is_computed_where_the_cpu_has_it(tiny_onnx: Path):
    if "bfloat16" not in available_precisions():
        pytest.skip("this CPU computes no bfloat16")
    kind = setting(
        galago.load(tiny_onnx, precision="bfloat16").engine, "INFERENCE_PRECISION_HINT"
    ).to_string()  # type: ignore[attr-defined]
    assert kind == "bf16"


def test_bfloat16_is_refused_where_the_cpu_has_no_bfloat16(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "galago.runtime.engines.openvino.available_precisions", lambda: ("float32",)
    )
    with pytest.raises(
        ConfigError, match=r"This CPU computes no bfloat16, only float32\. Leave --precision out\."
    ):
        galago.load(tiny_onnx, precision="bfloat16")


def test_threads_are_as_many_as_told(tiny_onnx: Path):
    assert setting(OpenVINOEngine(tiny_onnx, threads=1), "INFERENCE_NUM_THREADS") == 1


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(tiny_onnx: Path, threads: int):
    with pytest.raises(ConfigError, match=f"Expected 1 or more threads, got {threads}"):
        OpenVINOEngine(tiny_onnx, threads=threads)


def test_an_unknown_precision_is_refused(tiny_onnx: Path):
    with pytest.raises(
        ConfigError, match=r"Unknown precision 'int4'\. Choose one of: bfloat16, float16, float32"
    ):
        OpenVINOEngine(tiny_onnx, precision="int4")


def test_gives_one_logit_for_8_by_8_pixels(tiny_onnx: Path):
    photo = np.zeros((1, 32, 64, 3), np.uint8)
    photo[0, :8, :8] = (10, 20, 30)
    logits = OpenVINOEngine(tiny_onnx).run(photo)
    assert logits.shape == (1, 3, 4, 8)
    assert logits.dtype == np.float32
    assert logits[0, :, 0, 0].tolist() == [10, 20, 30]
    assert logits.sum() == 60


def test_the_result_is_a_view_until_the_next_call(tiny_onnx: Path):
    engine = OpenVINOEngine(tiny_onnx)
    first = engine.run(np.full((1, 32, 32, 3), 10, np.uint8))
    engine.run(np.full((1, 32, 32, 3), 99, np.uint8))
    assert (first == 99).all()  # nothing is copied: who keeps logits copies them


def test_input_of_another_form_is_an_error_that_shows_it(tiny_onnx: Path):
    with pytest.raises(
        ModelError,
        match=r"cannot run .*tiny\.onnx on input of shape \(1, 3, 32, 32\), dtype float32",
    ):
        OpenVINOEngine(tiny_onnx).run(np.zeros((1, 3, 32, 32), np.float32))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"a\.onnx is missing\. Copy the whole model folder again"):
        OpenVINOEngine(tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"hello", bytes(range(256)) * 20], ids=["text", "noise"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.onnx is no whole ONNX file\. Copy it again"):
        OpenVINOEngine(tmp_path / "a.onnx")


def test_telemetry_writes_no_file_and_starts_no_thread(tiny_onnx: Path, tmp_path: Path):
    images.save(tmp_path / "photo.png", np.zeros((8, 8, 3), np.uint8))
    home = tmp_path / "home"
    home.mkdir()
    code = f"""
import sys, threading
import galago
galago.load({str(tiny_onnx)!r})({str(tmp_path / "photo.png")!r})
assert threading.active_count() == 1, threading.enumerate()
assert sys.modules["openvino_telemetry"] is None
"""
    environment = {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PATH": "",
        "GALAGO_CACHE": "",
    }  # no CI, where it would be silent by itself
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the system has no such signal")
def test_a_signal_is_survived_after_another_thread_gave_up_the_last_engine(tiny_onnx: Path):
    code = f"""
import gc, signal, threading
from pathlib import Path
from galago.runtime.engines.openvino import OpenVINOEngine

engines, seen = [OpenVINOEngine(Path({str(tiny_onnx)!r}))], []
thread = threading.Thread(target=lambda: (engines.clear(), gc.collect()))
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
signal.raise_signal(signal.SIGUSR1)
assert seen == [1]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
