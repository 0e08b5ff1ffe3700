"""Saving the state of a run, and resuming the run from it.

`state/` holds `state.safetensors` (model, moving average, optimizer, random states, and in its
metadata history, gradient scaler and data fingerprint) and `state.json` (its checksum). These are
tensors and JSON, so loading them runs no code.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from galago._core.atomic_io import folder_beside, recover_folder, sha256
from galago.errors import TrainingError
from galago.training._compat import is_dead_worker
from galago.training.config import Config
from galago.training.data_fingerprint import differences
from galago.training.distributed import run_on_rank0
from galago.training.run_dir import (
    check_same_settings,
    check_same_weights,
    check_unused,
)
from galago.training.train_state import TrainState

SCHEMA_VERSION = 2
STATE_FILE = "state.safetensors"
CHECKSUM_FILE = "state.json"
# Names in states of schema version 1, which galago 0.1 wrote.
OLD_PREFIXES = {"learner/": "model/", "average/": "ema/"}
OLD_METADATA = {"progress": "history", "data": "fingerprint"}
OLD_DATA = {"mixed-in data": "extra data"}
PICKLES = (".pkl", ".bin", ".pt", ".pth")  # as accelerate saves a state
# What torch, NumPy and JSON raise over values that galago did not write.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SafetensorError,
)


@dataclass
class SavedState:
    """A state that was read.

    Attributes:
        folder: where it was read from.
        tensors: by name, as `save_state` names them.
        metadata: history, scaler, random numbers, fingerprint.
    """

    folder: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]


@dataclass
class StartingPoint:
    """Where a run starts: from a saved state, from a checkpoint, or from random weights.

    Attributes:
        weights: the checkpoint, or None.
        saved: the state, or None.
        fingerprint: of the data; empty but in the main process.
    """

    weights: Path | None
    saved: SavedState | None
    fingerprint: dict[str, Any]


def find_starting_point(
    out: Path,
    config: Config,
    *,
    weights: Path | None,
    resume: bool,
    make_fingerprint: Callable[[], dict[str, Any]],
) -> StartingPoint:
    """Return where a run starts, before anything large is built.

    A run that is resumed before it has saved a state starts from the beginning.

    Args:
        out: folder of the run, locked by it.
        config: its settings.
        weights: the checkpoint that the user asked for, or None.
        resume: whether the run in `out` is resumed.
        make_fingerprint: returns the fingerprint of the data; called in the main process.
    Raises:
        DataError, ImageError: the data cannot be read.
        TrainingError: `out` holds another run, there is nothing to resume, only with other
            settings, data or weights, or the state is damaged.
    """
    folder = None
    if resume:
        run_on_rank0(lambda: recover_folder(out / "state"))
        folder = find_state(out)
        check_same_settings(out, config)
        if folder is None:
            check_same_weights(out, weights)
    else:
        check_unused(out)
    start = StartingPoint(weights, None, {})
    if folder:
        start = StartingPoint(None, read_state(folder), {})
    run_on_rank0(lambda: start.fingerprint.update(make_fingerprint()))
    if saved := start.saved:
        run_on_rank0(lambda: check_same_data(saved, start.fingerprint))
    return start


def save_state(state: TrainState) -> None:
    """Save a state into `out`/state; a kill at any moment leaves the old state or the new one.

    The main process writes, but every process has to call this.

    Raises:
        TrainingError: it cannot be written; the old state is whole.
    """
    all_random = gather_object([_random_states(state.accelerator.device)])
    if not state.accelerator.is_main_process:
        return
    tensors, numbers = _collect_tensors(state), []
    for rank, (random_tensors, random_numbers) in enumerate(all_random):
        tensors |= {f"random/{rank}/{name}": tensor for name, tensor in random_tensors.items()}
        numbers.append(random_numbers)
    scaler = state.accelerator.scaler
    metadata = {
        "history": state.history.state_dict(),
        "random": numbers,
        "fingerprint": state.fingerprint,
        "scaler": scaler.state_dict() if scaler else None,
    }
    try:
        with folder_beside(state.out / "state") as folder:
            save_file(tensors, folder / STATE_FILE, metadata={"run": json.dumps(metadata)})
            checksum = {"schema_version": SCHEMA_VERSION, "sha256": sha256(folder / STATE_FILE)}
            (folder / CHECKSUM_FILE).write_text(json.dumps(checksum) + "\n", encoding="utf-8")
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk, in their own ways
        if is_dead_worker(error):
            raise
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise TrainingError(
            f"Cannot save the state of the run in {state.out}: {reason}. Free space, then --resume."
        ) from error


def find_state(out: Path) -> Path | None:
    """Return the folder of the state that a run can be resumed from, None if none was saved yet.

    Raises:
        TrainingError: it was saved by an earlier galago, as pickles.
    """
    recover_folder(out / "state")
    for name in ("state", "state.old"):
        folder = out / name
        if folder.is_dir():
            if not (folder / CHECKSUM_FILE).exists():
                _refuse_pickles(folder)
            return folder
    return None


def _refuse_pickles(folder: Path) -> None:
    """Refuse a state of the first versions of galago.

    Raises:
        TrainingError: there are pickles in the folder.
    """
    if any(path.suffix in PICKLES for path in folder.rglob("*")):
        raise TrainingError(
            f"{folder} was saved by an earlier galago, as pickles, which can run code and are not "
            f"read. {_how_to_restart(folder.parent)}"
        )


def _how_to_restart(out: Path, verb: str = "Start") -> str:
    """Return a sentence on what can be kept of a run that cannot be resumed."""
    last = out / "last.safetensors"
    weights = f" from its weights, --weights {last}" if last.exists() else ""
    return f"{verb} another run{weights} with another --out and without --resume."


def read_state(folder: Path) -> SavedState:
    """Return a saved state, that of an earlier version under today's names.

    Raises:
        TrainingError: it is damaged, or the folder holds other files.
    """
    with _explain_damage(folder):
        strangers = sorted({path.name for path in folder.iterdir()} - {STATE_FILE, CHECKSUM_FILE})
        if strangers:
            raise ValueError(f"it holds {', '.join(strangers)}, which galago did not save there")
        checksum = json.loads((folder / CHECKSUM_FILE).read_text(encoding="utf-8"))
        version = checksum["schema_version"]
        if version not in (1, SCHEMA_VERSION):
            raise ValueError(f"it has schema version {version}, not {SCHEMA_VERSION}")
        if sha256(folder / STATE_FILE) != checksum["sha256"]:
            raise ValueError(f"{STATE_FILE} is not what was written")
        with safe_open(folder / STATE_FILE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = json.loads(file.metadata()["run"])
        if version == 1:
            tensors, metadata = _upgrade(tensors, metadata)
        return SavedState(folder, tensors, metadata)


def _upgrade(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a state of schema version 1 under the names of version 2."""
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in OLD_PREFIXES.items():
            name = new + name.removeprefix(old) if name.startswith(old) else name
        renamed[name] = tensor
    upgraded = {OLD_METADATA.get(name, name): value for name, value in metadata.items()}
    upgraded["fingerprint"] = {
        OLD_DATA.get(name, name): value for name, value in upgraded["fingerprint"].items()
    }
    return renamed, upgraded


def check_same_data(saved: SavedState, fingerprint: Mapping[str, Any]) -> None:
    """Refuse to resume a run with other data than it was started with.

    Raises:
        TrainingError: something differs, or the state is damaged.
    """
    with _explain_damage(saved.folder):
        changed = differences(saved.metadata["fingerprint"], fingerprint)
    if changed:
        raise TrainingError(
            f"The run in {saved.folder.parent} was started with other data: {'; '.join(changed)}. "
            f"Resume with the same data, or {_how_to_restart(saved.folder.parent, verb='start')}"
        )


def load_state(state: TrainState, saved: SavedState) -> None:
    """Bring a run to a saved state; every process has to call this.

    Raises:
        TrainingError: the saved state is damaged, or of another network.
    """
    metadata, device = saved.metadata, state.accelerator.device
    with _explain_damage(saved.folder):
        _restore_tensors(state, saved.tensors)
        state.history.load_state_dict(metadata["history"])
        if state.accelerator.scaler and metadata["scaler"]:
            state.accelerator.scaler.load_state_dict(metadata["scaler"])
        # there may be more processes now
        rank = state.accelerator.process_index % len(metadata["random"])
        tensors = _with_prefix(saved.tensors, f"random/{rank}/")
        _restore_random(tensors, metadata["random"][rank], device)


@contextmanager
def _explain_damage(folder: Path) -> Iterator[None]:
    """Turn errors over a damaged state into one line.

    Raises:
        TrainingError: the state is damaged.
    """
    try:
        yield
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0]
        if isinstance(error, OSError) and error.filename:
            reason = f"{Path(error.filename).name}: {reason}"
        raise TrainingError(
            f"The state of the run in {folder} is damaged: {reason.rstrip('.')}. "
            f"{_how_to_restart(folder.parent)}"
        ) from error


def _collect_tensors(state: TrainState) -> dict[str, Tensor]:
    """Return all tensors of a state, on the CPU, under names that say what they belong to."""
    model = state.accelerator.unwrap_model(state.model)
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema/{name}": value for name, value in state.ema.state_dict().items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": value for name, value in values.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _restore_tensors(state: TrainState, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors back to where `_collect_tensors` took them from.

    Raises:
        RuntimeError, ValueError: they do not fit.
    """
    model = state.accelerator.unwrap_model(state.model)
    model.load_state_dict(_with_prefix(tensors, "model/"))
    state.ema.load_state_dict(_with_prefix(tensors, "ema/"))
    parameters = [value for group in state.optimizer.param_groups for value in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _with_prefix(tensors, "optimizer/").items():
        number, _, kind = name.partition("/")
        parameter = parameters[int(number)]
        if kind != "step":
            if tensor.shape != parameter.shape:
                raise ValueError(f"{name} of the optimizer has shape {tuple(tensor.shape)}")
            tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)  # its strides
        states.setdefault(int(number), {})[kind] = tensor
    groups = state.optimizer.state_dict()["param_groups"]  # the settings are checked elsewhere
    state.optimizer.load_state_dict({"state": states, "param_groups": groups})


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, under their names without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _random_states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the random states of this process: tensors by name, and numbers for JSON."""
    legacy: Any = np.random.get_state(legacy=True)
    kind, keys, *position = legacy
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(keys.astype(np.int64))}
    if device.type != "cpu":
        tensors[device.type] = torch.get_device_module(device).get_rng_state().cpu()
    version, integers, gauss = random.getstate()
    tensors["python"] = torch.tensor(integers, dtype=torch.int64)
    return tensors, {"numpy": [kind, *position], "python": [version, gauss]}


def _restore_random(
    tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], device: torch.device
) -> None:
    """Set the random states of this process to saved ones.

    Raises:
        RuntimeError, TypeError, ValueError, KeyError: they are no random states.
    """
    kind, *position = numbers["numpy"]
    np.random.set_state((kind, tensors["numpy"].numpy().astype(np.uint32), *position))
    version, gauss = numbers["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    if device.type in tensors:
        torch.get_device_module(device).set_rng_state(tensors[device.type])
    torch.set_rng_state(tensors["torch"])
