"""How much do 8 threads on one Segmenter label, against one thread, and how much memory is it?"""

import argparse
import threading
from collections.abc import Callable
from contextlib import nullcontext
from time import perf_counter

import numpy as np
from measure import in_own_process, save_result

from galago import load
from galago._core.device import peak_memory_mb
from galago.scenes.dataset import render_scene

THREADS = 8
SIZE = (360, 480)  # (height, width) of the photos
TURNS = 5


def rate(
    call: Callable[[np.ndarray], object], photos: list[np.ndarray], threads: int, seconds: float
) -> float:
    """Return photos a second of some threads that label until a time is over."""
    end, counts = perf_counter() + seconds, [0] * threads

    def work(number: int) -> None:
        while perf_counter() < end:
            call(photos[(number + counts[number]) % len(photos)])
            counts[number] += 1

    start = perf_counter()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (perf_counter() - start)


def measure(engine: str, mode: str, model: str, seconds: float) -> dict[str, float]:
    """Measure one thread and several in turns.

    Args:
        engine: name of it.
        mode: `own`, as galago does it; `lock` holds a lock from the network to the label map.
        model: folder or name.
        seconds: for each measurement.
    """
    segmenter = load(model, engine=engine)
    lock = threading.Lock() if mode == "lock" else nullcontext()
    photos = [render_scene(seed, SIZE).image for seed in range(4)]

    def call(photo: np.ndarray) -> object:
        with lock:
            return segmenter(photo)

    rate(call, photos, 1, seconds)
    before = peak_memory_mb()
    ratios, alone = [], []
    for _ in range(TURNS):
        one = rate(call, photos, 1, seconds)
        ratios.append(rate(call, photos, THREADS, seconds) / one)
        alone.append(one)
    return {
        "photos_per_second_alone": round(float(np.median(alone)), 2),
        "ratio": round(float(np.median(ratios)), 3),
        "lowest_ratio": round(min(ratios), 3),
        "memory_alone_mb": round(before or 0),
        "memory_mb": round(peak_memory_mb() or 0),
    }


def main() -> None:
    """Measure the engines that the user names, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="b0-camvid")
    parser.add_argument("--engines", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    arguments = parser.parse_args()
    modes = [(engine, "own") for engine in arguments.engines]
    modes += [("openvino", "lock")] if "openvino" in arguments.engines else []
    rows = {
        f"{engine} {mode}": in_own_process(
            measure, engine, mode, arguments.model, arguments.seconds
        )
        for engine, mode in modes
    }
    for name, row in rows.items():
        print(name, row)
    save_result("threads", {"threads": THREADS, "size": SIZE, "engines": rows})


if __name__ == "__main__":
    main()
