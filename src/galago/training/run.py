"""What a run leaves behind: its description, its measurements, pictures, and the state to resume from."""

import csv
import dataclasses
import io
import json
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError

from galago._core.provenance import command, commit, version
from galago.device import processor
from galago.errors import TrainingError
from galago.files import write_whole
from galago.training.classify_config import Config
from galago.training.processes import join
from galago.training.workers import is_lost_worker

KEPT = ("best.safetensors", "last.safetensors", "state", "state.old")  # what a started run would overwrite
FREE_SETTINGS = ("workers", "save_every", "patience", "tensorboard")  # may differ when a run goes on: they change no weight
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


def describe_run(
    config: Config, *, data: str, photos: tuple[int, int], weights: Path | None, teacher: Path | None = None
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
    try:
        recorded = json.loads((folder / "run.json").read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder / 'run.json'} is missing or damaged, so the run cannot go on. Start anew.") from error
    now = json.loads(json.dumps(dataclasses.asdict(config)))  # tuples as lists, as in the file
    changed = [
        f"{name} was {recorded[name]}, now {value}"
        for name, value in now.items()
        if name not in FREE_SETTINGS and name in recorded and recorded[name] != value
    ]
    if changed:
        raise TrainingError(
            f"The run in {folder} was started with other settings: {'; '.join(changed)}. Resume with the same ones, "
            f"or start another run from its weights with --weights {folder / 'last.safetensors'}."
        )


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        TrainingError: the file cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(f"Cannot write {path}: {reason}. Free space or choose another folder with --out.") from error


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
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
    accelerator.wait_for_everyone()
    try:
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if not accelerator.is_main_process:
            return
        if state.exists():  # else `old` may be the only whole one, after a kill between the renames below
            shutil.rmtree(old, ignore_errors=True)
            state.rename(old)
        partial.rename(state)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors report a full disk in their own ways
        if is_lost_worker(error):
            raise
        shutil.rmtree(partial, ignore_errors=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise TrainingError(f"Cannot save the state of the run in {folder}: {reason}. Free space, then --resume.") from error


def find_state(folder: Path) -> Path:
    """Return the state that a run in this folder can go on from.

    Raises:
        TrainingError: there is none.
    """
    for name in ("state", "state.old"):  # the second one only after a kill between two renames
        if (folder / name).is_dir():
            return folder / name
    raise TrainingError(f"There is nothing to resume in {folder}: it has no saved state. Start the run without --resume.")
