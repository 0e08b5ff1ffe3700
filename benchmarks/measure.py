"""How every benchmark measures: rivals take turns in one process, medians are compared, the machine
is written down.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar, TypeVarTuple

import numpy as np

from galago._core.device import describe_run

K = TypeVar("K")  # names a rival
R = TypeVar("R")
Ts = TypeVarTuple("Ts")
RESULTS = Path(__file__).parent / "results"
FOLDERS = re.compile(
    r"(?<![^\s=])/(?:[^/\s]+/)*([^/\s]+)"
)  # an absolute path in a command: its last name is kept
PACKAGES = (
    "ai-edge-litert",
    "executorch",
    "galago",
    "ncnn",
    "nncf",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "openvino",
    "pyvips",
    "torch",
    "transformers",
)


def time_interleaved(
    rivals: Mapping[K, Callable[[], object]], *, runs: int, warmup: int = 3
) -> dict[K, dict[str, float]]:
    """Time rivals one after the other, again and again, so that a noisy moment of the machine hits
    all of them.

    At each turn a rival runs twice and the second run counts: during the first, threads of the one
    before may still be waiting busily for more work, and caches hold what that one needed.

    Args:
        rivals: what to call, by name.
        runs: measured calls of each.
        warmup: turns before, which do not count.
    Returns:
        `median_ms` and `p95_ms` of each rival.
    """
    times: dict[K, list[float]] = {name: [] for name in rivals}
    for turn in range(warmup + runs):
        for name, call in rivals.items():
            call()
            start = perf_counter()
            call()
            if turn >= warmup:
                times[name].append(1000 * (perf_counter() - start))
    return {name: summarize(values) for name, values in times.items()}


def summarize(times_ms: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of some times."""
    return {
        "median_ms": round(median(times_ms), 3),
        "p95_ms": round(float(np.percentile(times_ms, 95)), 3),
    }


def in_own_process(measure: Callable[[*Ts], R], *args: *Ts) -> R:
    """Call a function in a fresh process, whose memory is all its own.

    Raises:
        RuntimeError: the system has ended the process, as where no memory is left.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *args).result()


def save_result(name: str, result: Mapping[str, Any]) -> Path:
    """Write results/NAME.json: the figures and what is needed to repeat them.

    Folders of the machine stay private.
    """
    path, facts = RESULTS / f"{name}.json", describe_run(PACKAGES)
    facts["command"] = FOLDERS.sub(r"\1", facts["command"])
    path.write_text(json.dumps({**result, "made_with": facts}, indent=2) + "\n")
    return path
