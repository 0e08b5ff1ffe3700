"""How near does a whole video come to its slowest step, and does memory stay flat?

    python benchmarks/video.py [--frames 2000]

Draws a 720p clip, then measures reading, labeling and writing each alone, and the whole as `galago
predict` does it. The three steps overlap, so that the whole could be as fast as the slowest of
them, as long as there are cores for all: the sum of the steps divided by the number of cores is the
other bound. Steps and whole take turns; medians count. Needs the bundled model.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from measure import save_result

from galago import Segmenter, load
from galago.runtime.predict import PredictConfig, Prediction, PredictJob
from galago.runtime.video import VideoFile
from galago.scenes.dataset import render_scene
from galago.sources import Video, read_frames

SIZE = (720, 1280)  # (height, width) in pixels
RATE = 30.0  # frames per second
TURNS = (
    10  # of each step alone and the whole, so that they have the same minutes of a shared machine
)
ALONE = 30  # frames of each step alone in a turn
PART = 100  # frames of the whole in a turn
FIRST_LOOK = 200  # frames after which memory is read; queues and buffers are full then


def draw_clip(path: Path, frames: int) -> None:
    """Write a video that moves sideways over a drawn street scene."""
    scene = render_scene(0, (SIZE[0], 2 * SIZE[1])).image
    with VideoFile(path, SIZE, fps=RATE) as file:
        for number in range(frames):
            left = abs((4 * number) % (2 * SIZE[1]) - SIZE[1])  # there and back
            file.write(np.ascontiguousarray(scene[:, left : left + SIZE[1]]))


def rate_of(steps: Iterable[object]) -> float:
    """Return how many steps a second are done."""
    start = perf_counter()
    count = sum(1 for _ in steps)
    return count / (perf_counter() - start)


class Silent:
    """A progress that shows nothing."""

    def advance(self) -> None:
        """Count a frame."""

    @contextmanager
    def tiles(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Show no bar while a block runs."""
        yield lambda done, total: None

    def say(self, text: str) -> None:
        """Print nothing."""


def each_alone(clip: Path, segmenter: Segmenter, folder: Path) -> dict[str, float]:
    """Return the frames per second of reading, labeling and writing, one after the other."""
    job = new_job(clip, folder)
    frames = list(read_frames(Video(str(clip)), limit=ALONE))
    silent = Silent()
    for frame in frames[:3]:
        job.label(frame, segmenter, silent)  # warm up
    rates = {"read": rate_of(islice(read_frames(Video(str(clip))), ALONE))}
    predictions: list[Prediction] = []
    rates["label"] = rate_of(
        map(predictions.append, (job.label(frame, segmenter, silent) for frame in frames))
    )
    with VideoFile(folder / "alone.mp4", SIZE, fps=RATE) as file:
        job.video_file = file
        rates["write"] = rate_of(map(job.write, predictions))
    return rates


class MemoryProbe(Silent):
    """Reads the memory of the process once the queues are full."""

    def __init__(self) -> None:
        self.frames = 0
        self.memory: dict[str, float] = {}

    def advance(self) -> None:
        """Count a frame."""
        self.frames += 1
        if self.frames == FIRST_LOOK:
            self.memory["resident_mb_after_200"] = round(resident_mb(), 1)


def resident_mb() -> float:
    """Return the memory that the process holds, in MB of 1e6 bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(clip: Path, segmenter: Segmenter, folder: Path) -> dict[str, Any]:
    """Measure each step alone and a part of the whole, in turns.

    Then speed and memory of the whole clip.
    """
    turns = []
    for _ in range(TURNS):
        alone = each_alone(clip, segmenter, folder)
        part = new_job(clip, folder, limit=PART)
        turns.append((alone, whole(part, segmenter)[0]))
        print(*turns[-1], flush=True)
    rates = {step: median(alone[step] for alone, _ in turns) for step in turns[0][0]}
    job = new_job(clip, folder)
    rate, memory = whole(job, segmenter)
    return {
        "turns": TURNS,
        "alone_per_second": {step: round(rate, 1) for step, rate in rates.items()},
        "whole": {"frames": job.stats.count, "per_second": round(rate, 1), **memory},
        "median_ms": {step: round(time_ms, 2) for step, time_ms in job.stats.speed().items()},
        "whole_over_slowest_step": round(
            median(part / min(alone.values()) for alone, part in turns), 3
        ),
        "one_after_the_other_per_second": round(1 / sum(1 / rate for rate in rates.values()), 1),
    }


def whole(job: PredictJob, segmenter: Segmenter) -> tuple[float, dict[str, float]]:
    """Run a job and return its frames per second, and the memory early and late."""
    probe = MemoryProbe()
    job.run(segmenter, probe)
    memory = {**probe.memory, "resident_mb_at_the_end": round(resident_mb(), 1)}
    return job.stats.count / job.seconds, memory


def main() -> None:
    """Measure and save results/video.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--model", default="b0-camvid")
    arguments = parser.parse_args()
    segmenter = load(arguments.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        draw_clip(clip, arguments.frames)
        measured = measure(clip, segmenter, folder)
    result = {
        "model": segmenter.spec.name,
        "precision": "float32",
        "size": SIZE,
        "opencv_threads": cv2.getNumThreads(),
        **measured,
    }
    print(save_result("video", result))


def new_job(clip: Path, folder: Path, limit: int | None = None) -> PredictJob:
    """Return a job that counts afresh and writes an overlay video."""
    return PredictJob(
        str(clip), PredictConfig(out=folder / "out", overwrite=True, max_frames=limit)
    )


if __name__ == "__main__":
    main()
