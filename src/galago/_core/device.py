"""What a measurement ran on: processor, memory, versions, commit, command line."""

import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from galago._core.provenance import command, commit, version

VECTORS = (
    "amx_bf16",
    "avx512_bf16",
    "avx512f",
    "avx2",
    "asimd",
)  # instructions that decide a CPU's speed, best first


def describe_run(packages: Iterable[str]) -> dict[str, Any]:
    """Say where, when and with what something was measured.

    Args:
        packages: whose versions matter; None stands for one that is not installed.
    """
    return {
        "command": command(),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gb": memory_gb(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in packages},
    }


def processor() -> str:
    """Name the processor, with the vector instructions that decide its speed."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    flags = fields.get("flags", fields.get("Features", "")).split()
    vectors = next((name for name in VECTORS if name in flags), "no vectors known")
    return f"{fields.get('model name') or platform.machine()} ({vectors})"


def memory_gb() -> float | None:
    """Return the machine's memory; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError):  # Windows has no sysconf
        return None


def peak_memory_mb() -> float | None:
    """Return the most memory that this process ever held; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent process held, too
        peak = next(
            (line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None
        )
        return round(int(peak.split()[1]) / 1e3, 1) if peak else None
    if sys.platform == "win32":
        return None
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)  # macOS counts bytes
