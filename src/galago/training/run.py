"""What a run leaves behind: its description, its measurements, pictures, and the state to resume from."""

import csv
import dataclasses
import io
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from galago.errors import TrainingError

PACKAGES = ("galago", "torch", "numpy", "opencv-python-headless", "accelerate")


@dataclasses.dataclass
class Progress:
    """Where a run stands; saved and loaded with the state.

    Attributes:
        epoch: epochs completed.
        best: best mean IoU on the validation split so far, 0 to 1.
        rows: one line of metrics.csv per epoch.
    """

    epoch: int = 0
    best: float = -1.0
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values for the saved state."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the values of a saved state."""
        self.epoch, self.best, self.rows = state["epoch"], state["best"], list(state["rows"])


def describe_run(config: Any, *, data: str, weights: str | None) -> dict[str, Any]:
    """Collect what is needed to repeat a run: settings, command, commit, versions, machine."""
    return {
        "config": dataclasses.asdict(config),
        "data": data,
        "weights": weights,
        "command": " ".join(sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: metadata.version(name) for name in PACKAGES if _installed(name)},
    }


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _commit() -> str | None:
    """Return the commit of the source tree that runs, with `+` where it was changed, or None for an installed package."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if dirty else "")


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all.

    Raises:
        TrainingError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        raise TrainingError(f"Cannot write {path}: {error.strerror or error}. Free space or choose another folder with --out.") from error


def write_metrics(folder: Path, progress: Progress) -> None:
    """Write metrics.csv: one line per epoch, empty where nothing was measured."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in progress.rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(progress.rows)
    write_text(folder / "metrics.csv", text.getvalue())


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write run.json."""
    write_text(folder / "run.json", json.dumps(description, indent=2) + "\n")


def save_state(accelerator: Accelerator, folder: Path) -> None:
    """Save everything that a resumed run needs; a kill at any moment leaves the old state or the new one whole."""
    partial, state, old = folder / "state.partial", folder / "state", folder / "state.old"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        accelerator.save_state(str(partial))
        shutil.rmtree(old, ignore_errors=True)
        if state.exists():
            state.rename(old)
        partial.rename(state)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise TrainingError(f"Cannot save the state of the run in {folder}: {error.strerror or error}. Free space, then --resume.") from error


def find_state(folder: Path) -> Path:
    """Return the state that a run in this folder can go on from.

    Raises:
        TrainingError: there is none.
    """
    for name in ("state", "state.old"):  # the second one only after a kill between two renames
        if (folder / name).is_dir():
            return folder / name
    raise TrainingError(f"There is nothing to resume in {folder}: it has no saved state. Start the run without --resume.")
