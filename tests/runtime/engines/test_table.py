import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import galago
from galago import image as images
from galago.errors import ConfigError, ModelError
from galago.pretrained.resolve import ASSETS, bundled_models
from galago.runtime.engines.onnxruntime import ONNXRuntimeEngine
from galago.runtime.onnx_metadata import read_metadata
from galago.scenes.dataset import render_scene

SIZES = [(64, 96), (100, 131), (256, 320)]


@pytest.fixture(scope="session")
def trained() -> str:
    """Name of the bundled model."""
    if "b0-camvid" not in bundled_models():
        pytest.skip("b0-camvid is not bundled here")
    return "b0-camvid"


def run_without(packages: list[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run Python as if some packages were not installed."""
    hidden = "; ".join(f"sys.modules[{package!r}] = None" for package in packages)
    return subprocess.run(
        [sys.executable, "-c", f"import sys; {hidden}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.openvino
@pytest.mark.onnxruntime
@pytest.mark.parametrize("size", SIZES)
def test_engines_agree_on_logits_and_on_every_label(trained: str, size: tuple[int, int]):
    pytest.importorskip("onnxruntime")
    photo = render_scene(3, size).image
    first, second = (galago.load(trained, engine=engine) for engine in ("openvino", "onnxruntime"))
    one, other = first.logits(photo), second.logits(photo)
    assert np.linalg.norm(one - other) < 1e-5 * np.linalg.norm(
        one
    )  # the same float32 sums in another order
    assert np.array_equal(first(photo).labels, second(photo).labels)


@pytest.mark.openvino
def test_auto_is_openvino_where_it_is_installed_and_loads_no_other(tiny_onnx: Path):
    code = (
        f"import galago; print(galago.load({str(tiny_onnx)!r}).engine.name); "
        "assert 'onnxruntime' not in sys.modules"
    )
    done = run_without([], code)
    assert (done.returncode, done.stdout) == (0, "openvino\n"), done.stderr


@pytest.mark.onnxruntime
def test_auto_is_onnxruntime_where_openvino_is_missing(tiny_onnx: Path):
    pytest.importorskip("onnxruntime")
    code = (
        f"import galago, numpy; model = galago.load({str(tiny_onnx)!r}); "
        "model(numpy.zeros((9, 9, 3), 'uint8'))"
    )
    done = run_without(["openvino"], f"{code}\nprint(model.engine.name)")
    assert (done.returncode, done.stdout) == (0, "onnxruntime\n"), done.stderr


@pytest.mark.parametrize(
    ("missing", "engine", "message"),
    [
        (["openvino"], "openvino", "error: openvino is missing. Run: pip install openvino\n"),
        (
            ["onnxruntime"],
            "onnxruntime",
            "error: onnxruntime is missing. Run: pip install 'galago[onnxruntime]'\n",
        ),
        (
            ["openvino", "onnxruntime"],
            "auto",
            "error: No engine is installed. Run: pip install openvino or: pip install "
            "'galago[onnxruntime]'\n",
        ),
    ],
)
def test_an_engine_that_is_missing_is_one_line_that_says_what_to_install(
    tiny_onnx: Path, tmp_path: Path, missing: list[str], engine: str, message: str
):
    images.save(tmp_path / "photo.png", np.zeros((32, 32, 3), np.uint8))
    arguments = [
        "predict",
        "--source",
        str(tmp_path / "photo.png"),
        "--model",
        str(tiny_onnx),
        "--engine",
        engine,
        "--no-save",
    ]
    done = run_without(
        missing, f"from galago.cli.main import main; sys.argv = ['galago', *{arguments!r}]; main()"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


@pytest.mark.onnxruntime
def test_onnxruntime_refuses_half_precision_with_2(tiny_onnx: Path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(
        ConfigError, match=r"ONNX Runtime computes in float32 only\. Leave --precision out"
    ) as caught:
        galago.load(tiny_onnx, engine="onnxruntime", precision="bfloat16")
    assert caught.value.exit_code == 2


@pytest.mark.onnxruntime
def test_onnxruntime_uses_as_many_threads_as_told(tiny_onnx: Path):
    pytest.importorskip("onnxruntime")
    engine = ONNXRuntimeEngine(tiny_onnx, threads=1)
    assert engine._session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize("threads", [0, -1])
def test_onnxruntime_refuses_less_than_one_thread(tiny_onnx: Path, threads: int):
    with pytest.raises(ConfigError, match=f"Expected 1 or more threads, got {threads}"):
        ONNXRuntimeEngine(tiny_onnx, threads=threads)


def test_onnxruntime_refuses_an_unknown_precision(tiny_onnx: Path):
    with pytest.raises(ConfigError, match=r"Unknown precision 'int4'\. Choose one of: float32"):
        ONNXRuntimeEngine(tiny_onnx, precision="int4")


@pytest.mark.onnxruntime
@pytest.mark.parametrize(
    "content",
    [None, b"", b"hello", bytes(range(256)) * 20],
    ids=["missing", "empty", "text", "noise"],
)
def test_onnxruntime_refuses_what_is_no_onnx_file(
    tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("onnxruntime")
    if content is not None:
        (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(
        ModelError,
        match=r"(^ONNX Runtime cannot read .*a\.onnx: .*|a\.onnx is missing)\. "
        r"Copy it again, or export it again\.$",
    ):
        ONNXRuntimeEngine(tmp_path / "a.onnx")
    assert capfd.readouterr().err == ""


@pytest.mark.onnxruntime
def test_onnxruntime_shows_input_of_another_form(
    tiny_onnx: Path, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("onnxruntime")
    with pytest.raises(
        ModelError,
        match=r"cannot run .*tiny\.onnx on input of shape \(1, 3, 32, 32\), dtype float32: ",
    ):
        ONNXRuntimeEngine(tiny_onnx).run(np.zeros((1, 3, 32, 32), np.float32))
    assert capfd.readouterr().err == ""


def test_metadata_is_what_the_onnx_package_reads(tiny_onnx: Path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_onnx)
    for key, value in (("first", "short"), ("second", "ü" * 1000), ("third", "")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    tiny_onnx.write_bytes(model.SerializeToString())
    assert [read_metadata(tiny_onnx, entry.key) for entry in model.metadata_props] == [
        entry.value for entry in model.metadata_props
    ]
    assert read_metadata(tiny_onnx, "fourth") is None


@pytest.mark.parametrize(
    "content",
    [b"hello", bytes(range(256)), b"\xff" * 20, b"\x72\x05ab"],
    ids=["text", "noise", "ones", "cut"],
)
def test_metadata_of_what_is_no_onnx_file_is_an_error(tmp_path: Path, content: bytes):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.onnx is no whole ONNX file\. Copy it again"):
        read_metadata(tmp_path / "a.onnx", "galago")


@pytest.mark.skipif(
    sys.platform != "linux", reason="needs a file system that takes any bytes as a name"
)
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_model_in_a_folder_whose_name_is_no_utf_8_runs_or_is_refused_clearly(
    trained: str, tmp_path: Path, engine: str
):
    pytest.importorskip(engine)
    folder = shutil.copytree(ASSETS / trained, tmp_path / os.fsdecode(b"mod\xe8le"))
    if engine == "onnxruntime":
        with pytest.raises(
            ModelError,
            match=r"is no UTF-8, which onnxruntime cannot open. Rename the file or folder",
        ):
            galago.load(folder, engine=engine)
    else:
        scene = render_scene(0, (64, 96)).image
        np.testing.assert_array_equal(
            galago.load(folder, engine=engine)(scene).labels, galago.load(trained)(scene).labels
        )
