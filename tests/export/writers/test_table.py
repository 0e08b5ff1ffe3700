"""Every format but ONNX, which has a test of its own: files against torch, in each precision, and
their engines' errors.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import galago
import galago.runtime.engines.table as engines
from galago.errors import ConfigError, MissingDependencyError, ModelError
from galago.export.folder import write_model_folder
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.ncnn import optimize_graph
from galago.export.writers.table import WRITERS, check_formats
from galago.models.inference import TorchEngine
from galago.runtime.engines.executorch import ExecuTorchEngine
from galago.runtime.engines.litert import LiteRTEngine
from galago.runtime.engines.ncnn import NCNNEngine
from galago.runtime.engines.openvino import OpenVINOEngine
from galago.runtime.engines.torch import TorchProgramEngine
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec

pytestmark = pytest.mark.torch
SPEC = ModelSpec(
    name="doors",
    variant="b0",
    classes=("wall", "door", "floor"),
    palette=((0, 0, 0), (9, 0, 0), (0, 0, 9)),
)
SIZE = (96, 160)
KINDS: dict[str, Any] = {
    "ncnn": NCNNEngine,
    "litert": LiteRTEngine,
    "openvino": OpenVINOEngine,
    "executorch": ExecuTorchEngine,
    "torch": TorchProgramEngine,
}
ENGINES = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in KINDS]
PACKAGES = {
    "executorch": ("executorch",),
    "ncnn": ("ncnn", "pnnx"),
    "litert": ("ai_edge_litert", "litert_torch"),
    "openvino": ("onnx",),
    "torch": ("torch",),
}
FILES = {name: WRITERS[name].files[0] for name in KINDS}


def described(**changes: Any) -> ModelSpec:
    return replace(SPEC, input_size=SIZE, resize="stretch", **changes)


@pytest.fixture(scope="module")
def convert(
    random_network: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Return a function that converts a random network into a format, each once."""
    made: dict[tuple[str, str, str], Path] = {}

    def write(format: str, variant: str = "b0", spec: ModelSpec | None = None) -> Path:
        for package in PACKAGES.get(format, ()):
            pytest.importorskip(package)
        spec = spec or (described() if WRITERS[format].one_size else SPEC)
        key = format, variant, spec.to_json()
        if key not in made:
            made[key] = tmp_path_factory.mktemp(format) / WRITERS[format].files[0]
            deployed = DeployedNetwork(random_network(variant), spec)
            WRITERS[format].write(deployed, spec, made[key])
        return made[key]

    return write


@pytest.mark.parametrize(  # all variants in every engine: benchmarks/agreement.py
    ("engine", "variant"),
    [
        pytest.param(engine, variant, marks=getattr(pytest.mark, engine))
        for engine, variants in {
            "ncnn": ("b0", "b1", "l1"),
            "litert": ("b0", "l1"),
            "openvino": ("b0",),
            "executorch": ("b0",),
            "torch": ("b0",),
        }.items()
        for variant in variants
    ],
)
def test_gives_the_logits_of_torch(
    convert: Callable[..., Path],
    random_network: Callable[..., Any],
    photo: Callable[[int, int], np.ndarray],
    engine: str,
    variant: str,
):
    image = photo(*SIZE)[None]
    expected = TorchEngine(random_network(variant), SPEC).run(image)
    given = KINDS[engine](convert(engine, variant)).run(image)
    assert given.shape == expected.shape
    assert given.dtype == np.float32
    # the same float32 sums in another order
    assert np.linalg.norm(given - expected) / np.linalg.norm(expected) < 1e-4
    assert (given.argmax(1) == expected.argmax(1)).mean() >= 0.9999


@pytest.mark.parametrize(
    ("engine", "size"),
    [
        pytest.param(engine, size, marks=getattr(pytest.mark, engine))
        for engine, sizes in {
            "ncnn": ((32, 32), (64, 96), (352, 480)),
            "openvino": ((32, 32), (352, 480)),
            "torch": ((64, 96),),
        }.items()
        for size in sizes
    ],
)
def test_takes_every_size(
    convert: Callable[..., Path],
    random_network: Callable[..., Any],
    photo: Callable[[int, int], np.ndarray],
    engine: str,
    size: tuple[int, int],
):
    image = photo(*size)[None]
    expected = TorchEngine(random_network(), SPEC).run(image)
    assert (
        np.linalg.norm(KINDS[engine](convert(engine)).run(image) - expected)
        / np.linalg.norm(expected)
        < 1e-4
    )


HALVES = [  # an OpenVINO IR is made from the ONNX file
    pytest.param("onnx", marks=pytest.mark.openvino),
    pytest.param("litert", marks=pytest.mark.litert),
]


@pytest.mark.parametrize("format", HALVES)
def test_float16_halves_the_file_and_keeps_the_labels(
    convert: Callable[..., Path],
    random_network: Callable[..., Any],
    photo: Callable[[int, int], np.ndarray],
    format: str,
):
    whole, half = (
        convert(format, "b0", described(precision=precision))
        for precision in ("float32", "float16")
    )
    sizes = [
        sum(part.stat().st_size for part in file.parent.iterdir() if part.suffix != ".xml")
        for file in (whole, half)
    ]
    assert sizes[1] < 0.6 * sizes[0]
    image = photo(*SIZE)[None]
    expected = TorchEngine(random_network(), SPEC).run(image)
    given = engines.open_engine(half, engines.installed_engines([half.name])[0]).run(image)
    assert given.dtype == np.float32
    assert 0 < np.linalg.norm(given - expected) / np.linalg.norm(expected) < 1e-2
    assert (given.argmax(1) == expected.argmax(1)).mean() >= 0.995


LABELERS = [*HALVES, pytest.param("torch", marks=pytest.mark.torch)]


@pytest.mark.parametrize("format", LABELERS)
def test_labels_of_the_file_are_those_that_galago_makes_of_logits(
    convert: Callable[..., Path],
    random_network: Callable[..., Any],
    photo: Callable[[int, int], np.ndarray],
    format: str,
):
    spec = described(output="labels")
    file = convert(format, "b0", spec)
    segmenter = Segmenter(
        engines.open_engine(file, engines.installed_engines([file.name])[0]), spec
    )
    expected = Segmenter(TorchEngine(random_network(), SPEC), SPEC)(photo(*SIZE)).labels
    result = segmenter(photo(*SIZE)).labels
    assert result.dtype == np.uint8
    assert (result == expected).mean() >= 0.999
    assert segmenter(photo(70, 101)).labels.shape == (70, 101)
    with pytest.raises(
        ConfigError,
        match=r"Smoothing and confidence needs logits, but doors gives labels\. Export it without",
    ):
        segmenter(photo(*SIZE), confidence=True)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("gif", {}, r"Unknown format 'gif'\. Choose from: onnx, openvino, litert, ncnn"),
        (
            "tensorrt",
            {},
            r"Unknown format 'tensorrt'\. TensorRT reads the ONNX file: --format onnx --imgsz H W",
        ),
        (
            "ncnn",
            {"output": "labels"},
            r"ncnn files do not support output labels\. Formats that do: onnx, openvino, litert, executorch, torch\.",
        ),
        (
            "ncnn",
            {"precision": "float16"},
            r"ncnn files do not support precision float16\. Formats that do: onnx, openvino, litert, coreml\.",
        ),
    ],
)
def test_what_a_format_cannot_be_is_refused_with_what_can(
    name: str, change: dict[str, Any], message: str
):
    with pytest.raises(ConfigError, match=message):
        check_formats(["onnx", name], replace(SPEC, **change))


def test_every_file_that_an_engine_runs_is_written_by_the_format_that_it_names():
    assert {
        WRITERS[name].files[0]: name
        for name in WRITERS
        if WRITERS[name].files[0] in engines.FORMATS
    } == engines.FORMATS


@pytest.fixture(scope="module")
def folder(
    random_network: Callable[..., Any],
    convert: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """Return a function that writes a model folder with the file of one engine alone."""

    def write(engine: str) -> Path:
        file = convert(engine)  # skips where it cannot be done
        out = tmp_path_factory.mktemp("folder") / "model"
        with pytest.MonkeyPatch.context() as patch:
            if WRITERS[engine].one_size:  # the slowest to convert
                patch.setitem(
                    WRITERS,
                    engine,
                    replace(
                        WRITERS[engine], write=lambda deployed, spec, path: shutil.copy(file, path)
                    ),
                )
                patch.setattr(
                    "galago.export.folder.DEFAULT_SIZE", SIZE
                )  # of the golden image, as of the file
            given = write_model_folder(random_network(), SPEC, out, facts={}, formats=[engine])
            assert given.differences[engine] < 1e-4
        return out

    return write


@pytest.mark.parametrize("engine", ENGINES)
def test_auto_takes_the_engine_whose_file_is_there(
    folder: Callable[[str], Path], photo: Callable[[int, int], np.ndarray], engine: str
):
    out = folder(engine)
    segmenter = galago.load(out)
    assert segmenter.engine.name == engine
    assert segmenter.spec.files.keys() >= {FILES[engine]}
    for size in ((70, 101), (200, 333)):
        assert segmenter(photo(*size)).labels.shape == size
    with pytest.raises(
        ModelError,
        match=rf"onnxruntime runs model\.onnx, which this model has not, only {FILES[engine]}\. Run: galago",
    ):
        galago.load(out, engine="onnxruntime")


@pytest.mark.litert
def test_a_large_photo_is_made_smaller_for_a_file_of_one_size(
    convert: Callable[..., Path], photo: Callable[[int, int], np.ndarray]
):
    segmenter = galago.runtime.Segmenter(LiteRTEngine(convert("litert")), SPEC)
    prepared, seen = segmenter.prepare(photo(400, 320))
    assert (prepared.shape, seen) == ((*SIZE, 3), (96, 77))  # 320 * 96 / 400 = 76.8
    prepared, seen = segmenter.prepare(photo(50, 60))
    assert (prepared.shape, seen) == ((*SIZE, 3), (50, 60))


@pytest.mark.parametrize("engine", [name for name in KINDS if name != "openvino"])
def test_settings_that_it_has_not_are_misuse(engine: str):
    kind, file = KINDS[engine], Path("none")
    with pytest.raises(ConfigError, match="Expected 1 or more threads, got 0"):
        kind(file, threads=0)
    with pytest.raises(
        ConfigError,
        match=r"computes in float32 only\. Leave --precision out, or use --engine openvino",
    ):
        kind(file, precision="bfloat16")
    with pytest.raises(ConfigError, match="Unknown precision 'int4'"):
        kind(file, precision="int4")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("content", [None, b"", b"hello"], ids=["missing", "empty", "text"])
def test_a_file_that_is_none_of_its_own_is_refused(
    tmp_path: Path, engine: str, content: bytes | None
):
    pytest.importorskip(PACKAGES[engine][0])
    if content is not None:
        (tmp_path / FILES[engine]).write_bytes(content)
    with pytest.raises(
        ModelError, match=r"(cannot read .*|is missing|is no whole OpenVINO IR file)\. Copy"
    ):
        KINDS[engine](tmp_path / FILES[engine])


@pytest.mark.ncnn
def test_weights_that_are_cut_short_are_refused(convert: Callable[..., Path], tmp_path: Path):
    whole = convert("ncnn")
    (tmp_path / "model.ncnn.param").write_bytes(whole.read_bytes())
    with pytest.raises(ModelError, match=r"model\.ncnn\.bin is missing"):
        NCNNEngine(tmp_path / "model.ncnn.param")
    (tmp_path / "model.ncnn.bin").write_bytes(whole.with_suffix(".bin").read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"ncnn cannot read .*model\.ncnn\.bin\. Copy it again"):
        NCNNEngine(tmp_path / "model.ncnn.param")


@pytest.mark.parametrize("engine", ENGINES)
def test_input_of_another_form_is_shown(convert: Callable[..., Path], engine: str):
    with pytest.raises(
        ModelError, match=r"cannot run .* on input of shape \(1, 33, 32, 3\), dtype uint8: "
    ):
        KINDS[engine](convert(engine)).run(np.zeros((1, 33, 32, 3), np.uint8))


@pytest.mark.parametrize("engine", ["ncnn", "litert", "executorch"])
def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch, engine: str):
    package = PACKAGES[engine][0]
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(
        MissingDependencyError,
        match=rf"{package} is missing\. Run: pip install 'galago\[{engine}\]'",
    ):
        KINDS[engine](Path("none"))


def test_a_hardswish_becomes_part_of_the_convolution_before_it():
    graph = "7767517\n3 3\nInput in0 0 1 in0\nConvolution c 1 1 in0 a 0=8\nHardSwish h 1 1 a out0 0=0.2 1=0.5\n"
    assert (
        optimize_graph(graph)
        == "7767517\n2 2\nInput in0 0 1 in0\nConvolution c 1 1 in0 out0 0=8 9=6 -23310=2,0.2,0.5\n"
    )


def test_a_map_reshaped_as_another_goes_by_way_of_two_axes():
    graph = '7767517\n1 1\nReshape r 2 1 a b c 12=0 13=0 6="1w,1h,64,1"\n'
    lines = optimize_graph(graph).splitlines()
    assert lines[1:] == [
        "2 2",
        'Reshape r_flat 1 1 a r_flat 6="0w,64"',
        'Reshape r 2 1 r_flat b c 12=0 13=0 6="1w,1h,64,1"',
    ]
