"""How every benchmark measures: rivals take turns in one process, medians are compared, the machine is written down."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("galago", "numpy", "opencv-python-headless", "openvino", "torch")


def take_turns(rivals: Mapping[str, Callable[[], object]], *, runs: int, warmup: int = 3) -> dict[str, dict[str, float]]:
    """Time rivals one after the other, again and again, so that a noisy moment of the machine hits all of them.

    Args:
        rivals: what to call, by name.
        runs: measured calls of each.
        warmup: calls of each before, which do not count.
    Returns:
        `median_ms` and `p95_ms` of each rival.
    """
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(warmup + runs):
        for name, call in rivals.items():
            start = perf_counter()
            call()
            if turn >= warmup:
                times[name].append(1000 * (perf_counter() - start))
    return {name: summarize(values) for name, values in times.items()}


def summarize(times_ms: list[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of some times."""
    return {"median_ms": round(median(times_ms), 2), "p95_ms": round(sorted(times_ms)[int(0.95 * (len(times_ms) - 1))], 2)}


def save_result(name: str, result: Mapping[str, Any]) -> Path:
    """Write results/NAME.json: the figures, and what is needed to judge and to repeat them."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**result, "made_with": describe_machine()}, indent=2) + "\n")
    return path


def describe_machine() -> dict[str, Any]:
    """Say where, when and with what a benchmark ran."""
    return {
        "command": " ".join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def processor() -> str:
    """Name the processor, with the vector instructions that decide its speed."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split("\t", 1) for line in info.read_text().splitlines() if "\t" in line)
    flags = fields.get("flags", "").split()
    vectors = next((name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags), "no vectors known")
    return f"{fields.get('model name', ': unknown').lstrip(': ')} ({vectors})"


def commit() -> str:
    """Return the commit that is checked out, with `+` where files were changed since."""
    here = Path(__file__).parent
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    changed = subprocess.run(["git", "status", "--porcelain", "../src"], cwd=here, capture_output=True, text=True, check=True)
    return revision.stdout.strip() + ("+" if changed.stdout else "")
