"""One Segmenter in several threads, and in children of the process that loaded it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiled import label_in_tiles

import galago
from galago.errors import ConfigError, ModelError
from galago.runtime.engines.table import open_engine
from galago.runtime.segmenter import Segmenter
from galago.runtime.smoothing import Smoother
from galago.spec import ModelSpec

THREADS = 8
COLORS = 3  # one-colored photos: red, green, blue
SIZE = (256, 320)
SECONDS = 0.8


def photos() -> list[np.ndarray]:
    """Draw photos that the network of `write_onnx` labels 0, 1 and 2 all over."""
    return [
        np.full((*SIZE, 3), np.eye(COLORS, dtype=np.uint8)[color] * 200) for color in range(COLORS)
    ]


def race(call: Callable[[int], np.ndarray], expected: list[np.ndarray]) -> tuple[int, int]:
    """Call from 8 threads until the time is over.

    Return the number of calls and of wrong results.
    """
    end, wrong, done = time.monotonic() + SECONDS, [], []

    def work(thread: int) -> None:
        turn = thread
        while time.monotonic() < end:
            if not np.array_equal(call(turn % len(expected)), expected[turn % len(expected)]):
                wrong.append(turn)
            done.append(turn)
            turn += 1

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    return len(done), len(wrong)


@pytest.fixture(params=["openvino", "onnxruntime"])
def shared(request: pytest.FixtureRequest, tiny_onnx: Path) -> Segmenter:
    pytest.importorskip(request.param)
    return galago.load(tiny_onnx, engine=request.param)


def test_eight_threads_get_the_labels_of_their_own_photos(shared: Segmenter):
    given = photos()
    calls, wrong = race(
        lambda index: shared(given[index]).labels,
        [np.full(SIZE, color, np.uint8) for color in range(COLORS)],
    )
    assert calls > THREADS
    assert wrong == 0


def test_eight_threads_get_their_own_logits(shared: Segmenter):
    given = photos()
    calls, wrong = race(
        lambda index: shared.logits(given[index]), [shared.logits(photo) for photo in given]
    )
    assert (calls > THREADS, wrong) == (True, 0)


def test_eight_threads_get_their_own_confidence(shared: Segmenter):
    given = photos()
    expected = [shared(photo, confidence=True).margin for photo in given]
    calls, wrong = race(lambda index: shared(given[index], confidence=True).margin, expected)
    assert (calls > THREADS, wrong) == (True, 0)


def test_eight_threads_get_their_own_tiles(shared: Segmenter):
    given = photos()
    expected = [label_in_tiles(shared, photo, tile=96, overlap=32).labels for photo in given]
    calls, wrong = race(
        lambda index: label_in_tiles(shared, given[index], tile=96, overlap=32).labels, expected
    )
    assert (calls > 2, wrong) == (True, 0)


def test_eight_threads_smooth_a_video_each(shared: Segmenter):
    given, smoothers = photos(), [Smoother(0.5) for _ in range(THREADS)]

    def film(number: int) -> list[int]:
        frames = [given[(number + frame) % COLORS] for frame in range(12)]
        return [int(shared(frame, smoother=smoothers[number]).labels[0, 0]) for frame in frames]

    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(film, range(THREADS)))
    smoothers = [Smoother(0.5) for _ in range(THREADS)]
    assert together == [film(number) for number in range(THREADS)]


class Waiting:
    """An engine that runs until it is told to go on."""

    name, input_size = "waiting", None

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()

    def run(self, image: np.ndarray) -> np.ndarray:
        self.started.set()
        assert self.go_on.wait(10)
        return np.zeros((1, 3, 4, 4), np.float32)


def test_two_frames_at_once_in_one_smoother_are_an_error_that_says_what_to_do(tiny_spec: ModelSpec):
    engine, smoother, photo = Waiting(), Smoother(0.5), np.zeros((32, 32, 3), np.uint8)
    segmenter = Segmenter(engine, tiny_spec)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(segmenter, photo, smoother=smoother)
        assert engine.started.wait(10)
        with pytest.raises(
            ConfigError, match=r"given to one smoother at once\. .* make one Smoother per video"
        ):
            segmenter(photo, smoother=smoother)
        engine.go_on.set()
        first.result()
    segmenter(photo, smoother=smoother)  # free again


@pytest.mark.openvino
def test_a_busy_engine_is_not_blamed_on_the_photo(tiny_onnx: Path):
    segmenter = galago.load(tiny_onnx, engine="openvino")
    photo = np.zeros((1024, 1024, 3), np.uint8)
    with ThreadPoolExecutor(
        THREADS
    ) as pool:  # at fdf8d3a: "cannot run ... on input of shape", cause "Infer Request is busy"
        assert all(
            result.labels.shape == (1024, 1024) for result in pool.map(segmenter, [photo] * 24)
        )


@pytest.mark.openvino
def test_threads_that_load_at_once_share_one_core(tiny_onnx: Path):
    from galago.runtime.engines import openvino as openvino_engine

    openvino_engine._core.cache_clear()
    barrier = threading.Barrier(THREADS)

    def core(_: int) -> int:
        barrier.wait()
        return id(openvino_engine.only_core())

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(core, range(THREADS)))) == 1


ENGINES = ["openvino", "onnxruntime", "litert", "ncnn", "executorch", "torch"]
FORMATS = {"openvino": "openvino", "onnxruntime": "onnx"}
NETWORK_SIZE = (64, 96)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that writes a small random network as a model folder for an engine, each
    once.
    """
    made: dict[str, Path] = {}

    def write(engine: str) -> Path:
        torch = pytest.importorskip("torch")
        from galago._core.atomic_io import sha256
        from galago.errors import MissingDependencyError
        from galago.export.rewrite.deploy import DeployedNetwork
        from galago.export.writers.table import WRITERS
        from galago.models.efficientvit import build_model

        if engine not in made:
            writer = WRITERS[FORMATS.get(engine, engine)]
            folder = tmp_path_factory.mktemp(engine)
            spec = ModelSpec(
                name="doors",
                variant="b0",
                classes=("wall", "door", "floor"),
                palette=((0, 0, 0), (9, 0, 0), (0, 0, 9)),
                input_size=NETWORK_SIZE,
                resize="stretch",
            )
            torch.manual_seed(0)
            try:
                deployed = DeployedNetwork(build_model("b0", 3).eval(), spec)
                writer.write(deployed, spec, folder / writer.files[0])
            except MissingDependencyError as error:
                pytest.skip(str(error))
            files = {path.name: sha256(path) for path in folder.iterdir()}
            (folder / "model.json").write_text(replace(spec, files=files).to_json())
            made[engine] = folder
        return made[engine]

    return write


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*NETWORK_SIZE, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize(
    "engine", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ENGINES]
)
def test_eight_threads_get_the_same_logits_as_alone_in_every_engine(
    folders: Callable[[str], Path], engine: str
):
    segmenter = galago.load(folders(engine), engine=engine, threads=1)
    given = [noise(seed) for seed in range(5)]
    expected = [segmenter.logits(photo) for photo in given]
    assert not np.array_equal(expected[0], expected[1])
    calls, wrong = race(lambda index: segmenter.logits(given[index]), expected)
    assert (calls > THREADS, wrong) == (True, 0)


CHILD = """
import os, sys, time
import numpy as np
import galago

folder, engine, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
segmenter = galago.load(folder, engine=engine, threads=threads)
photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
expected = segmenter.logits(photo)
for fresh in (False, True):
    child = os.fork()
    if child == 0:
        if fresh:
            segmenter = galago.load(folder, engine=engine, threads=threads)
        close = np.allclose(segmenter.logits(photo), expected, atol=1e-4, rtol=1e-4)
        os._exit(0 if close else 3)
    end, status = time.monotonic() + 30, None
    while time.monotonic() < end and status is None:
        ended, code = os.waitpid(child, os.WNOHANG)
        status = code if ended else None
        time.sleep(0.02)
    if status is None:
        os.kill(child, 9)
    assert status == 0, ("hangs" if status is None else status, fresh)
assert np.array_equal(segmenter.logits(photo), expected)
"""


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "engine", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ENGINES]
)
def test_a_forked_child_labels_as_its_parent_and_does_not_hang(
    folders: Callable[[str], Path], engine: str, threads: int
):
    command = [sys.executable, "-c", CHILD, str(folders(engine)), engine, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.torch
def test_a_program_whose_weights_have_other_names_is_an_error_of_the_model(
    folders: Callable[[str], Path], tmp_path: Path
):
    content = (folders("torch") / "model.pt2").read_bytes()
    assert b"network.backbone.stages.4.1" in content
    (tmp_path / "model.pt2").write_bytes(
        content.replace(b"network.backbone.stages.4.1", b"network.backbon_.stages.4.1", 1)
    )
    with pytest.raises(ModelError, match=r"torch cannot read .*model\.pt2"):
        open_engine(tmp_path / "model.pt2", "torch")
