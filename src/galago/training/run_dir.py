"""What a run leaves behind: its description and its measurements.

And who may write into its folder.
"""

import csv
import dataclasses
import io
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from galago._core.atomic_io import write_whole
from galago._core.device import processor
from galago._core.provenance import command, commit, version
from galago.errors import TrainingError
from galago.training.config import Config
from galago.training.distributed import join

KEPT = (
    "best.safetensors",
    "last.safetensors",
    "state",
    "state.old",
)  # what a started run would overwrite
FREE_SETTINGS = (
    "workers",
    "save_every",
    "patience",
    "tensorboard",
)  # may differ when a run goes on: they change no weight
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
        self.epoch, self.best = int(state["epoch"]), float(state["best"])
        self.rows = [dict(row) for row in state["rows"]]


def describe_run(
    config: Config,
    *,
    data: str,
    photos: tuple[int, int],
    weights: Path | None,
    teacher: Path | None = None,
) -> dict[str, Any]:
    """Collect what is needed to repeat a run: settings, data, command, commit, versions, machine.

    Args:
        config: the settings.
        data: what the run learns from, in words.
        photos: how many are for training and how many for validation.
        weights: the checkpoint it starts from, or None for random weights.
        teacher: the checkpoint that it learns from, or None.
    """
    return {
        "config": dataclasses.asdict(config),
        "data": data,
        "train_photos": photos[0],
        "val_photos": photos[1],
        "weights": str(weights) if weights else None,
        "teacher": str(teacher) if teacher else None,
        "command": command(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": _device(),
        "versions": {name: found for name in PACKAGES if (found := version(name))},
    }


def _device() -> str:
    """Name what computes, and how often it is there."""
    processes = join().num_processes
    cpu = f"{processor()}, {torch.get_num_threads()} threads"
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    return f"{name}, {processes} processes" if processes > 1 else name


def check_unused(folder: Path) -> None:
    """Refuse a folder that holds the weights or the state of another run.

    Raises:
        TrainingError: it does.
    """
    if there := [name for name in KEPT if (folder / name).exists()]:
        raise TrainingError(
            f"{folder} holds a run already ({', '.join(there)}). "
            "Choose another folder with --out, or go on with that run by --resume."
        )


def check_same_settings(folder: Path, config: Config) -> None:
    """Refuse to go on with a run under other settings than those it was started with.

    Raises:
        TrainingError: a setting differs, or run.json is missing or damaged.
    """
    recorded = read_description(folder)["config"]
    now = json.loads(json.dumps(dataclasses.asdict(config)))  # tuples as lists, as in the file
    changed = [
        f"{name} was {recorded[name]}, now {value}"
        for name, value in now.items()
        if name not in FREE_SETTINGS and name in recorded and recorded[name] != value
    ]
    if changed:
        raise TrainingError(
            f"The run in {folder} was started with other settings: {'; '.join(changed)}. Resume "
            "with the same ones, "
            f"or start another run from its weights with --weights {folder / 'last.safetensors'}."
        )


def check_same_weights(folder: Path, weights: Path | None) -> None:
    """Refuse to begin a run again from other weights than those it was started from.

    Raises:
        TrainingError: they differ, or run.json is missing or damaged.
    """
    before = read_description(folder).get("weights")
    if (before and Path(before).resolve()) != (weights and weights.resolve()):
        raise TrainingError(
            f"The run in {folder} was started from {before or 'random weights'}, now from "
            f"{weights or 'random weights'}. Resume with the same --weights, or choose another "
            "--out."
        )


def read_description(folder: Path) -> dict[str, Any]:
    """Read run.json, as far as a resumed run needs it.

    Raises:
        TrainingError: there is no run, or run.json is missing or damaged.
    """
    path = folder / "run.json"
    if not path.exists() and not any((folder / name).exists() for name in KEPT):
        raise TrainingError(
            f"There is nothing to resume in {folder}: no run was started there. Start it without "
            "--resume."
        )
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(described, dict) and isinstance(described["config"], dict):
            return described
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise TrainingError(
            f"{path} is missing or damaged, so the run cannot go on. Start anew."
        ) from error
    raise TrainingError(f"{path} is missing or damaged, so the run cannot go on. Start anew.")


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        TrainingError: the file cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(
            f"Cannot write {path}: {reason}. Free space or choose another folder with --out."
        ) from error


def write_metrics(folder: Path, progress: Progress) -> None:
    """Write metrics.csv: one line per epoch, empty where nothing was measured."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in progress.rows for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(progress.rows)
    write_text(folder / "metrics.csv", text.getvalue())


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write run.json."""
    write_text(folder / "run.json", json.dumps(description, indent=2) + "\n")
