"""The folder of a run: run.json, metrics.csv, and a lock that keeps other runs out."""

import contextlib
import csv
import dataclasses
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from galago._core.atomic_io import write_whole
from galago._core.device import processor
from galago._core.locks import is_at, try_lock
from galago._core.provenance import command, commit, version
from galago.errors import TrainingError
from galago.training.config import Config, upgrade_settings
from galago.training.distributed import distributed_state, run_on_rank0
from galago.training.history import History

SCHEMA_VERSION = 2  # of run.json; 1, without this key, is that of galago 0.1
OLD_KEYS = {"train_photos": "train_images", "val_photos": "val_images"}
LOCK = ".lock"
# what another run in the same folder would overwrite
PROTECTED = ("best.safetensors", "last.safetensors", "state", "state.old")
# settings that may differ when a run is resumed, as they change no weight
FREE_SETTINGS = ("workers", "save_every", "patience", "tensorboard")
PACKAGES = ("galago", "torch", "numpy", "opencv-python-headless", "accelerate")


def describe_run(
    config: Config,
    *,
    data: str,
    train_images: int,
    val_images: int,
    weights: Path | None,
    teacher: Path | None = None,
) -> dict[str, Any]:
    """Return what is needed to repeat a run: settings, data, command, commit, versions, machine.

    Args:
        config: the settings.
        data: the data set in words.
        train_images, val_images: number of images of each split.
        weights: the checkpoint that the run starts from, or None for random weights.
        teacher: the checkpoint for distillation, or None.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "config": dataclasses.asdict(config),
        "data": data,
        "train_images": train_images,
        "val_images": val_images,
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
    """Return the name of the processor or GPU, and the number of processes where there are more."""
    processes = distributed_state().num_processes
    cpu = f"{processor()}, {torch.get_num_threads()} threads"
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    return f"{name}, {processes} processes" if processes > 1 else name


def upgrade_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a run.json of any version under the names of this one."""
    upgraded = {OLD_KEYS.get(name, name): value for name, value in description.items()}
    upgraded["config"] = upgrade_settings(upgraded["config"])
    return upgraded | {"schema_version": SCHEMA_VERSION}


def check_unused(folder: Path) -> None:
    """Refuse a folder that holds the weights or the state of another run.

    Raises:
        TrainingError: it does.
    """
    if found := [name for name in PROTECTED if (folder / name).exists()]:
        raise TrainingError(
            f"{folder} holds a run already ({', '.join(found)}). "
            "Choose another folder with --out, or go on with that run by --resume."
        )


def check_same_settings(folder: Path, config: Config) -> None:
    """Refuse to resume a run under other settings than those it was started with.

    Raises:
        TrainingError: a setting differs, or run.json is missing or damaged.
    """
    recorded = read_description(folder)["config"]
    now = json.loads(json.dumps(dataclasses.asdict(config)))  # tuples as lists, as in the file
    other = f"start another run from its weights with --weights {folder / 'last.safetensors'}."
    if removed := [f"{name}={recorded[name]}" for name in recorded if name not in now]:
        raise TrainingError(
            f"The run in {folder} was started with settings that galago no longer has: "
            f"{', '.join(removed)}. It cannot be resumed; {other}"
        )
    changed = [
        f"{name} was {recorded[name]}, now {value}"
        for name, value in now.items()
        if name not in FREE_SETTINGS and name in recorded and recorded[name] != value
    ]
    if changed:
        raise TrainingError(
            f"The run in {folder} was started with other settings: {'; '.join(changed)}. Resume "
            f"with the same ones, or {other}"
        )


def check_same_weights(folder: Path, weights: Path | None) -> None:
    """Refuse to restart a run from other weights than those it was started from.

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
    """Return the content of run.json, that of an earlier version under today's names.

    Raises:
        TrainingError: there is no run, or run.json is missing or damaged.
    """
    path = folder / "run.json"
    if not path.exists() and not any((folder / name).exists() for name in PROTECTED):
        raise TrainingError(
            f"There is nothing to resume in {folder}: no run was started there. Start it without "
            "--resume."
        )
    damaged = f"{path} is missing or damaged, so the run cannot be resumed. Start a new run."
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(description, dict) and isinstance(description["config"], dict):
            return upgrade_description(description)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise TrainingError(damaged) from error
    raise TrainingError(damaged)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

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


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write run.json.

    Raises:
        TrainingError: the file cannot be written.
    """
    write_text(folder / "run.json", json.dumps(description, indent=2) + "\n")


def write_metrics(folder: Path, history: History) -> None:
    """Write metrics.csv: one line per epoch, empty where nothing was measured.

    Raises:
        TrainingError: the file cannot be written.
    """
    columns = list(dict.fromkeys(name for row in history.rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history.rows)
    write_text(folder / "metrics.csv", text.getvalue())


_locked: set[Path] = set()  # folders that this process has locked, and may lock again


@contextmanager
def lock_run_dir(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the main process does it for all processes of the run.

    The lock is the operating system's and ends with its process. Where a file system has no locks,
    nothing is locked.

    Args:
        folder: is made if missing, and removed at the end if it is still empty.
    Raises:
        TrainingError: another run uses the folder, or it cannot be written.
    """
    key = folder.resolve()
    if key in _locked:
        yield
        return
    descriptors: list[int] = []
    run_on_rank0(lambda: descriptors.append(_lock(folder)))
    _locked.add(key)
    try:
        yield
    finally:
        _locked.discard(key)
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)  # while it is locked: see _lock
            os.close(descriptor)
            with contextlib.suppress(OSError):
                folder.rmdir()  # works only if it is empty


def _lock(folder: Path) -> int:
    """Lock a folder and return the descriptor that holds the lock."""
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            if try_lock(descriptor) is False:
                process = os.read(descriptor, 20).decode("ascii", "replace").strip()
                os.close(descriptor)
                holder = f" (process {process})" if process else ""
                raise TrainingError(
                    f"Another run is at work in {folder}{holder}. Wait until it has ended, or "
                    "choose another folder with --out."
                )
            if is_at(descriptor, path):  # else its holder has just deleted it
                os.truncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
            os.close(descriptor)
    except OSError as error:
        raise TrainingError(
            f"Cannot write to {folder}: {error.strerror or error}. Free space or choose another "
            "folder with --out."
        ) from error
