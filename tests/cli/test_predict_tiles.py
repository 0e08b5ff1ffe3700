import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from galago import image as images
from galago.spec import ModelSpec

pytestmark = pytest.mark.openvino
# pixels, to keep the tests small
START = (
    "{}from galago.cli import main; from galago.runtime.tiling import labeler; "
    "labeler.LARGEST_WHOLE = 10_000; main.main()"
)
WITHOUT_VIPS = "import sys; sys.modules['pyvips'] = None; "
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def place(tmp_path: Path, tiny_onnx: Path) -> Path:
    """A folder with tiny.onnx, whose classes are red, green and blue, a large photo and a small
    one.
    """
    photo = np.zeros((150, 200, 3), np.uint8)
    photo[:, :100], photo[:, 100:] = RED, BLUE
    images.save(tmp_path / "photos/large.png", photo)
    images.save(tmp_path / "photos/small.png", photo[:50, 75:125])
    return tmp_path


def predict(
    place: Path, *flags: str, source: str = "photos", model: str = "tiny.onnx", code: str = ""
) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            START.format(code),
            "predict",
            "--source",
            source,
            "--model",
            model,
            "--out",
            "out",
            *flags,
        ],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )


def written(place: Path) -> list[str]:
    """Return what is in the folder, but for index.json, which has tests of its own."""
    return sorted(path.name for path in (place / "out").glob("*") if path.name != "index.json")


def assert_halves(labels: np.ndarray) -> None:
    middle = labels.shape[1] // 2
    assert (labels[:, :middle] == 0).all()
    assert (labels[:, middle:] == 2).all()


def assert_one_line(done: subprocess.CompletedProcess, code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr


@pytest.mark.parametrize("code", ["", WITHOUT_VIPS], ids=["with pyvips", "without"])
def test_the_large_photos_of_a_folder_go_through_tiles(place: Path, code: str):
    done = predict(place, "--json", code=code)
    assert done.returncode == 0, done.stderr
    assert written(place) == ["large.png", "large_overlay.jpg", "small.png", "small_overlay.jpg"]
    assert_halves(images.load_labels(place / "out/large.png"))
    assert_halves(images.load_labels(place / "out/small.png"))
    line = (
        "large.png: 150 x 200 pixels (height x width), labeled in 1 tiles of 160 x 224, overlap 128"
    )
    assert sum(line in told for told in done.stderr.splitlines()) == 1
    assert ("pip install 'galago[large]'" in done.stderr) == bool(code)
    summary = json.loads(done.stdout)
    assert summary["photos"] == 2
    assert summary["areas"] == {"red": pytest.approx(0.5), "blue": pytest.approx(0.5)}
    assert list(summary["speed"]) == ["read", "pre", "infer", "post"]
    (path,) = summary["tiles"]
    assert Path(path).name == "large.png"
    assert summary["tiles"][path] == {
        "size": [150, 200],
        "tile": [160, 224],
        "overlap": 128,
        "tiles": 1,
    }


def test_tiles_can_be_asked_for(place: Path):
    done = predict(place, "--tile", "64", "--overlap", "32", "--json")
    assert done.returncode == 0, done.stderr
    told = list(json.loads(done.stdout)["tiles"].values())
    assert [(item["tile"], item["overlap"], item["tiles"]) for item in told] == [
        ([64, 64], 32, 24),
        ([64, 64], 32, 1),
    ]
    assert_halves(images.load_labels(place / "out/large.png"))
    assert "Saved: 2 label maps (.png) and overlays (_overlay.jpg) in out" in done.stderr


@pytest.mark.onnxruntime
def test_every_engine_labels_in_tiles(place: Path):
    pytest.importorskip("onnxruntime")
    done = predict(place, "--tile", "64", "--overlap", "32", "--engine", "onnxruntime")
    assert done.returncode == 0, done.stderr
    assert "engine: onnxruntime" in done.stdout
    assert_halves(images.load_labels(place / "out/large.png"))


def test_tiles_can_be_forbidden(place: Path):
    done = predict(place, "--tile", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiles"] == {}
    assert_halves(images.load_labels(place / "out/large.png"))


def test_photos_that_are_fitted_into_a_size_need_no_tiles(place: Path):
    done = predict(place, "--imgsz", "64", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiles"] == {}


def test_no_save_writes_nothing(place: Path):
    done = predict(place, "--no-save", "--json")
    assert done.returncode == 0, done.stderr
    assert written(place) == []
    assert len(json.loads(done.stdout)["tiles"]) == 1


def test_a_model_that_resizes_photos_gets_no_tiles_unless_asked(
    place: Path, tiny_spec: ModelSpec, write_onnx: Callable[..., Path]
):
    write_onnx(
        place / "short.onnx", dataclasses.replace(tiny_spec, resize="short_side", short_side=64)
    )
    assert json.loads(predict(place, "--json", model="short.onnx").stdout)["tiles"] == {}
    assert (
        len(
            json.loads(predict(place, "--tile", "64", "--json", model="short.onnx").stdout)["tiles"]
        )
        == 2
    )


def test_a_model_of_one_size_takes_photos_of_all(
    place: Path, tiny_spec: ModelSpec, write_onnx: Callable[..., Path]
):
    write_onnx(place / "fixed.onnx", dataclasses.replace(tiny_spec, input_size=(64, 96)))
    done = predict(place, "--json", model="fixed.onnx")
    assert done.returncode == 0, done.stderr
    assert [item["tile"] for item in json.loads(done.stdout)["tiles"].values()] == [
        [64, 96],
        [64, 96],
    ]
    assert_halves(images.load_labels(place / "out/large.png"))
    assert_one_line(
        predict(place, "--tile", "128", model="fixed.onnx"),
        2,
        "A tile of 128 pixels is larger than what the model takes",
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--tile", "64", "--overlap", "64"),
            "overlap needs to be smaller than a tile, got 64 of 64",
        ),
        (("--overlap", "1024"), "overlap needs to be smaller than a tile, got 1024 of 1024"),
        (("--tile", "100"), "A tile needs a multiple of 32 pixels, such as 1024, got 100"),
        (("--tile", "64", "--overlap", "20"), "needs a multiple of 32 pixels, or 0, got 20"),
        (("--tile", "0", "--overlap", "32"), "--tile 0 makes no tiles"),
        (
            ("--tile", "64", "--imgsz", "64"),
            "--tile labels photos at their own scale, --imgsz or the profile fits them into 64x64",
        ),
        (("--tile", "64", "--smooth", "0.5"), "--smooth averages over frames"),
    ],
)
def test_wrong_flags_are_misuse(place: Path, flags: tuple[str, ...], message: str):
    assert_one_line(predict(place, *flags), 2, message)
    assert written(place) == []


def test_a_video_has_no_tiles(place: Path, draw_clip: Callable[..., Path]):
    draw_clip(place / "clip.mp4", frames=2)
    assert_one_line(
        predict(place, "--tile", "64", source="clip.mp4"),
        2,
        "--tile and --overlap are for photos, got a video",
    )


@pytest.mark.parametrize("code", ["", WITHOUT_VIPS], ids=["with pyvips", "without"])
def test_a_large_photo_that_was_cut_is_one_line_and_leaves_nothing(place: Path, code: str):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    images.save(place / "cut.png", noise)
    (place / "cut.png").write_bytes((place / "cut.png").read_bytes()[:150_000])
    done = predict(place, source="cut.png", code=code)
    assert_one_line(done, 1, "cut short")
    assert written(place) == []


def test_the_rest_of_a_folder_is_labeled_when_a_large_photo_is_cut(place: Path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    images.save(place / "photos/cut.png", noise)
    (place / "photos/cut.png").write_bytes((place / "photos/cut.png").read_bytes()[:150_000])
    done = predict(place, "--json")
    assert done.returncode == 1
    assert written(place) == ["large.png", "large_overlay.jpg", "small.png", "small_overlay.jpg"]
    assert [Path(path).name for path in json.loads(done.stdout)["failed"]] == ["cut.png"]


def test_a_folder_that_cannot_be_written_is_one_line(place: Path):
    (place / "out").write_bytes(b"mine")
    done = predict(place, source="photos/large.png")
    assert_one_line(done, 1, "out is a file, not a folder. Choose another folder.")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX limits")
def test_a_full_disk_is_one_line_and_leaves_nothing(place: Path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    images.save(place / "noise.png", noise)
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
    done = predict(place, "--tile", "64", source="noise.png", code=limit)
    assert_one_line(done, 1, "Cannot write")
    assert "noise.png: File too large. Free space or choose another folder." in done.stderr
    assert written(place) == []


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.skipif(importlib.util.find_spec("pyvips") is None, reason="needs pyvips")
def test_an_interrupt_leaves_no_half_file(place: Path):
    images.save(place / "huge.png", np.zeros((8000, 2000, 3), np.uint8))
    command = [
        sys.executable,
        "-c",
        START.format(""),
        "predict",
        "--source",
        "huge.png",
        "--model",
        "tiny.onnx",
        "--out",
        "out",
    ]
    process = subprocess.Popen(
        [*command, "--tile", "32", "--overlap", "0"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not written(place) and process.poll() is None:  # the file beside
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.rstrip().endswith("interrupted")
    assert "Traceback" not in error
    assert written(place) == []
