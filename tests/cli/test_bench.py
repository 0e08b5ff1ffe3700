import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from galago.benchmarking.measure import slope, summarize
from galago.cli.main import app
from galago.errors import ConfigError, GalagoError, MissingDependencyError

pytestmark = pytest.mark.openvino


@pytest.fixture
def bench(tiny_onnx: Path, tmp_path: Path):
    """Return a function that measures the tiny model."""

    def run(*flags: str) -> Result:
        common = (
            "--model",
            str(tiny_onnx),
            "--runs",
            "2",
            "--warmup",
            "1",
            "--out",
            str(tmp_path / "out"),
        )
        return CliRunner().invoke(app, ["bench", *common, *flags])

    return run


def test_every_combination_is_a_row_with_its_evidence(bench, tiny_onnx: Path, tmp_path: Path):
    pytest.importorskip("onnxruntime")
    done = bench("--imgsz", "64", "96", "--imgsz", "128", "--threads", "1", "--threads", "2")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out/bench.json").read_text())
    settings = {
        (row["engine"], row["precision"], row["threads"], *row["size"]) for row in report["rows"]
    }
    assert settings == {
        (engine, "float32", threads, *size)
        for engine in ("openvino", "onnxruntime")
        for threads in (1, 2)
        for size in ((64, 96), (128, 128))
    }
    assert len(report["rows"]) == 8
    for row in report["rows"]:
        assert row["network_ms"].keys() == row["end_to_end_ms"].keys() == {"median", "p95"}
        assert 0 < row["network_ms"]["median"] < row["end_to_end_ms"]["p95"]
        assert row["labels_changed"] == 0
        assert (row["imgsz"], row["mean_iou"]) == (None, None)
        assert row["engine_version"]
    assert report["model"] == "tiny"
    assert set(report["model_sha256"].values()) == {
        hashlib.sha256(tiny_onnx.read_bytes()).hexdigest()
    }
    assert (report["runs"], report["warmup"], report["image"]) == (2, 1, "synthetic scene 0")
    made = report["made_with"]
    assert made.keys() == {
        "command",
        "date",
        "commit",
        "processor",
        "cores",
        "memory_gb",
        "system",
        "versions",
    }
    assert made["versions"]["galago"]


def test_the_fastest_configuration_is_a_ready_command(bench, tiny_onnx: Path):
    done = bench("--imgsz", "64x96", "--engine", "openvino", "--threads", "1")
    command = f"galago predict PHOTO --model {tiny_onnx} --engine openvino --threads 1"
    assert f"Fastest at 64x96: {command}\n" in done.stdout


def test_standard_output_is_one_json_object_when_asked_for(bench, tmp_path: Path):
    done = bench("--imgsz", "64x96", "--engine", "openvino", "--json")
    last = json.loads(done.stdout)
    assert last.pop("out") == str(tmp_path / "out")
    assert last == json.loads((tmp_path / "out/bench.json").read_text())


def test_engines_come_as_a_list_with_commas_too(bench, tmp_path: Path):
    pytest.importorskip("onnxruntime")
    assert bench("--imgsz", "64x96", "--engine", "onnxruntime, openvino,onnxruntime").exit_code == 0
    rows = json.loads((tmp_path / "out/bench.json").read_text())["rows"]
    assert [row["engine"] for row in rows] == ["onnxruntime", "openvino"]


def test_bfloat16_is_measured_beside_float32_when_asked_for(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(
        "galago.runtime.engines.openvino.available_precisions", lambda: ("float32", "bfloat16")
    )
    done = bench("--imgsz", "64x96", "--precision", "float32,bfloat16")
    # a CPU without bfloat16 computes in float32 instead
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out/bench.json").read_text())["rows"]
    assert [(row["engine"], row["precision"]) for row in rows] == [
        ("openvino", "float32"),
        ("onnxruntime", "float32"),
        ("openvino", "bfloat16"),
    ]
    assert all(0 <= row["labels_changed"] <= 1 for row in rows)
    assert "changed" in done.stdout


def test_bfloat16_is_not_measured_without_being_asked_for(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "galago.runtime.engines.openvino.available_precisions", lambda: ("float32", "bfloat16")
    )
    assert bench("--imgsz", "64x96").exit_code == 0
    assert {
        row["precision"] for row in json.loads((tmp_path / "out/bench.json").read_text())["rows"]
    } == {"float32"}


def test_a_precision_that_nothing_computes_in_is_misuse(bench):
    pytest.importorskip("onnxruntime")
    done = bench("--imgsz", "64x96", "--engine", "onnxruntime", "--precision", "bfloat16")
    assert isinstance(done.exception, ConfigError)
    assert (
        str(done.exception)
        == "onnxruntime cannot compute in bfloat16 on this CPU. Leave bfloat16 out of --precision."
    )


def test_a_photo_is_resized_to_each_size(bench, tmp_path: Path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((10, 20, 3), np.uint8))
    done = bench(
        "--source", str(tmp_path / "photo.png"), "--imgsz", "33x70", "--engine", "openvino"
    )
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out/bench.json").read_text())
    assert (report["image"], report["rows"][0]["size"]) == (str(tmp_path / "photo.png"), [33, 70])


def test_the_plot_is_drawn_where_matplotlib_is_installed(bench, tmp_path: Path):
    pytest.importorskip("matplotlib")
    done = bench("--imgsz", "64x96", "--imgsz", "128x128", "--engine", "openvino")
    assert f"Saved: {tmp_path}/out/bench.json, {tmp_path}/out/bench.png" in done.stdout
    assert cv2.imread(str(tmp_path / "out/bench.png")).shape == (600, 840, 3)


def test_without_matplotlib_there_is_no_plot(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = bench("--imgsz", "64x96", "--engine", "openvino")
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bench.json"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--engine", "cuda"),
            "Unknown engine 'cuda'. Choose one of: auto, openvino, onnxruntime, ncnn, litert, "
            "executorch, torch.",
        ),
        (
            ("--imgsz", "0x64"),
            "Expected a size in pixels as height and width, for example --imgsz 512 1024, got "
            "'0x64'.",
        ),
        (
            ("--imgsz", "-5"),
            "Expected a size in pixels as height and width, for example --imgsz 512 1024, got "
            "'-5'.",
        ),
        (
            ("--imgsz", "1x2x3"),
            "Expected a size in pixels as height and width, for example --imgsz 512 1024, got "
            "'1x2x3'.",
        ),
        (("--model", "b9"), "There is no model 'b9'."),
        (("--precision", "half"), "Unknown precision 'half'."),
    ],
)
def test_a_wrong_flag_is_misuse(bench, flags: tuple[str, ...], message: str):
    done = bench(*flags)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(message)


def test_an_engine_that_is_missing_says_what_to_install(bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = bench("--engine", "onnxruntime")
    assert isinstance(done.exception, MissingDependencyError)
    assert str(done.exception) == "onnxruntime is missing. Run: pip install 'galago[onnxruntime]'"


@pytest.mark.parametrize(
    "flags", [("--runs", "0"), ("--warmup", "-1"), ("--threads", "0"), ("--speed", "1")]
)
def test_a_number_out_of_range_is_misuse(bench, flags: tuple[str, ...]):
    assert bench(*flags).exit_code == 2


def test_a_missing_photo_is_one_clear_error(bench, tmp_path: Path):
    done = bench("--source", str(tmp_path / "none.jpg"))
    assert isinstance(done.exception, GalagoError)
    assert "none.jpg: No such file" in str(done.exception)


def test_it_runs_without_torch(tiny_onnx: Path, tmp_path: Path):
    arguments = [
        "bench",
        "--model",
        str(tiny_onnx),
        "--imgsz",
        "64x96",
        "--runs",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    code = f"import sys; sys.modules['torch'] = None; sys.argv = ['galago', *{arguments!r}]"
    code += "; from galago.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_median_and_95th_percentile():
    assert summarize([float(value) for value in range(101)]) == {"median": 50.0, "p95": 95.0}


def test_the_slope_is_the_exponent():
    assert slope([1, 2, 4], [3, 6, 12]) == pytest.approx(1)
    assert slope([1, 2, 4], [1, 4, 16]) == pytest.approx(2)
    assert slope([1, 1], [3, 4]) is None
