from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from galago import image as images
from galago.runtime import predict
from galago.runtime.predict import PredictConfig, PredictJob, RunningStats
from galago.runtime.segmenter import Segmenter
from galago.runtime.tiling import labeler
from galago.spec import ModelSpec


class Means:
    """Stands for an engine: logits are the mean colors of 8 x 8 pixels."""

    name = "means"
    input_size = None

    def run(self, image: np.ndarray) -> np.ndarray:
        _, height, width, _ = image.shape
        means = image[0].reshape(height // 8, 8, width // 8, 8, 3).mean(axis=(1, 3))
        return means.astype(np.float32).transpose(2, 0, 1)[None]


class Log:
    """Records what a job shows."""

    def __init__(self) -> None:
        self.frames = 0
        self.lines: list[str] = []

    def advance(self) -> None:
        self.frames += 1

    @contextmanager
    def tiles(self, name: str) -> Iterator[Callable[[int, int], None]]:
        self.lines.append(name)
        yield lambda done, count: None

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images: a large one, all red on the left and blue on the right, a small one and no image."""
    pixels = np.zeros((150, 200, 3), np.uint8)
    pixels[:, :100, 0] = pixels[:, 100:, 2] = 255
    images.save(tmp_path / "in/large.png", pixels)
    images.save(tmp_path / "in/small.png", pixels[:50, 75:125])
    (tmp_path / "in/torn.png").write_bytes(b"hello")
    return tmp_path


def run(folder: Path, spec: ModelSpec, **changes: Any) -> tuple[PredictJob, Log]:
    job = PredictJob(str(folder / "in"), PredictConfig(out=folder / "out", **changes))
    log = Log()
    job.run(Segmenter(Means(), spec), log)
    return job, log


def test_whole_images_and_images_in_tiles_give_the_same_kind_of_result(
    folder: Path, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(labeler, "LARGEST_WHOLE", 10_000)
    job, log = run(folder, tiny_spec)
    assert (log.frames, job.stats.count) == (3, 2)
    assert job.stats.areas() == {"red": pytest.approx(0.5), "blue": pytest.approx(0.5)}
    assert list(job.stats.speed()) == ["read", "pre", "infer", "post", "save"]
    assert job.outputs
    assert set(job.outputs.saved) == {"large.png", "small.png"}
    assert job.tile_labeler
    assert [Path(path).name for path in job.tile_labeler.records] == ["large.png"]
    assert log.lines[0] == "large"
    assert "labeled in 1 tiles of 160 x 224" in log.lines[1]


def test_an_image_that_cannot_be_read_fails_alone(folder: Path, tiny_spec: ModelSpec):
    job, _ = run(folder, tiny_spec)
    assert [Path(path).name for path in job.failed] == ["torn.png"]
    assert job.stats.count == 2


def test_confidence_of_an_image_in_tiles_is_an_error_of_that_image(
    folder: Path, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(labeler, "LARGEST_WHOLE", 10_000)
    job, _ = run(folder, tiny_spec, confidence=True)
    assert [Path(path).name for path in job.failed] == ["large.png", "torn.png"]
    assert sorted(file.name for file in (folder / "out").glob("small*")) == [
        "small.png",
        "small_confidence.png",
        "small_overlay.jpg",
    ]


def test_the_total_is_what_the_limit_leaves(folder: Path):
    assert PredictJob(str(folder / "in"), PredictConfig()).total == 3
    assert PredictJob(str(folder / "in"), PredictConfig(max_frames=2)).total == 2
    assert PredictJob(str(folder / "in"), PredictConfig(max_frames=9)).total == 3


def test_areas_are_averaged_over_frames_and_times_give_their_median():
    stats = RunningStats()
    for share, time_ms in ((1.0, 3.0), (0.5, 1.0), (0.0, 8.0)):
        stats.add({"road": share, "sky": 1 - share, "car": 0.2}, {"infer": time_ms})
    assert stats.count == 3
    assert stats.areas() == {
        "road": pytest.approx(0.5),
        "sky": pytest.approx(0.5),
        "car": pytest.approx(0.2),
    }
    assert stats.speed() == {"infer": 3.0}


def test_times_are_kept_of_the_latest_frames_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(predict, "LATEST", 3)
    stats = RunningStats()
    for time_ms in (100.0, 100.0, 100.0, 1.0, 2.0, 3.0):
        stats.add({}, {"infer": time_ms})
    assert stats.speed() == {"infer": 2.0}


def test_nothing_gives_nothing():
    assert (RunningStats().areas(), RunningStats().speed()) == ({}, {})
