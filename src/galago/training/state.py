"""The state of a run: what a resumed one needs, as tensors and JSON, so that none of it can run
code.

`state/` holds `state.safetensors` (network, moving average, optimizer, random states, and in its
metadata progress, gradient scaler and what the run learns from) and `state.json` (its checksum).
"""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from galago._core.atomic_io import folder_beside, recover_folder, sha256
from galago.errors import TrainingError
from galago.training.fingerprint import differences
from galago.training.run_dir import Progress
from galago.training.workers import is_lost_worker

VERSION = 1
STATE, SUM = "state.safetensors", "state.json"
EARLIER = (".pkl", ".bin", ".pt", ".pth")  # pickles, as accelerate saves them
BROKEN = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    RecursionError, RuntimeError, SafetensorError,
)  # fmt: skip  # what torch, NumPy and JSON raise over values that nobody has written


@dataclass
class Changing:
    """What of a run changes from step to step.

    Attributes:
        accelerator: holds the gradient scaler, if any.
        learner: what learns, as the accelerator prepared it.
        optimizer: of its parameters.
        average: moving average of the network.
        progress: epochs, best score, rows of metrics.csv.
        data: what the run learns from, as `fingerprint` has it; of the first process.
    """

    accelerator: Accelerator
    learner: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module
    progress: Progress
    data: dict[str, Any]


def save_state(run: Changing, out: Path) -> None:
    """Save the state into `out`/state; a kill at any moment leaves the old state or the new one.

    Of several processes the first writes, and each has to call this.

    Raises:
        TrainingError: it cannot be written; the old state is whole.
    """
    everyone = gather_object([random_states(run.accelerator.device)])
    if not run.accelerator.is_main_process:
        return
    tensors, numbers = collect(run), []
    for rank, (random_tensors, random_numbers) in enumerate(everyone):
        tensors |= {f"random/{rank}/{name}": tensor for name, tensor in random_tensors.items()}
        numbers.append(random_numbers)
    scaler = run.accelerator.scaler
    facts = {
        "progress": run.progress.state_dict(), "random": numbers, "data": run.data,
        "scaler": scaler.state_dict() if scaler else None,
    }  # fmt: skip
    try:
        with folder_beside(out / "state") as folder:
            save_file(tensors, folder / STATE, metadata={"run": json.dumps(facts)})
            described = {"schema_version": VERSION, "sha256": sha256(folder / STATE)}
            (folder / SUM).write_text(json.dumps(described) + "\n", encoding="utf-8")
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk, in their own ways
        if is_lost_worker(error):
            raise
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise TrainingError(
            f"Cannot save the state of the run in {out}: {reason}. Free space, then --resume."
        ) from error


def find_state(out: Path) -> Path | None:
    """Return the state that a run in this folder can go on from, None where none was saved yet.

    Raises:
        TrainingError: it was saved by an earlier galago, as pickles.
    """
    recover_folder(out / "state")
    for name in ("state", "state.old"):
        folder = out / name
        if folder.is_dir():
            if not (folder / SUM).exists():
                refuse_pickles(folder)
            return folder
    return None


def refuse_pickles(folder: Path) -> None:
    """Refuse a state as galago wrote it until version 0.1.

    Raises:
        TrainingError: there are pickles in it.
    """
    if any(path.suffix in EARLIER for path in folder.rglob("*")):
        raise TrainingError(
            f"{folder} was saved by an earlier galago, as pickles, which can run code and are not "
            f"read. {start_anew(folder.parent)}"
        )


def start_anew(out: Path, first: str = "Start") -> str:
    """Say how to save what can be saved of a run that cannot be resumed."""
    last = out / "last.safetensors"
    weights = f" from its weights, --weights {last}" if last.exists() else ""
    return f"{first} another run{weights} with another --out and without --resume."


@dataclass
class Saved:
    """A state that was read.

    Attributes:
        folder: where it lies.
        tensors: by name, as `collect` and `save_state` name them.
        facts: progress, scaler, random numbers, and what the run learns from.
    """

    folder: Path
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def read_state(folder: Path) -> Saved:
    """Read a saved state; nothing is unpickled.

    Raises:
        TrainingError: it is damaged, or other files lie with it.
    """
    with explaining(folder):
        strangers = sorted({path.name for path in folder.iterdir()} - {STATE, SUM})
        if strangers:
            raise ValueError(f"it holds {', '.join(strangers)}, which galago did not save there")
        described = json.loads((folder / SUM).read_text(encoding="utf-8"))
        if described["schema_version"] != VERSION:
            raise ValueError(f"it has schema version {described['schema_version']}, not {VERSION}")
        if sha256(folder / STATE) != described["sha256"]:
            raise ValueError(f"{STATE} is not what was written")
        with safe_open(folder / STATE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Saved(folder, tensors, json.loads(file.metadata()["run"]))


def check_same_data(saved: Saved, now: Mapping[str, Any]) -> None:
    """Refuse to go on with other data than a run was started with.

    Raises:
        TrainingError: something differs, or the state is damaged.
    """
    with explaining(saved.folder):
        changed = differences(saved.facts["data"], now)
    if changed:
        raise TrainingError(
            f"The run in {saved.folder.parent} was started with other data: {'; '.join(changed)}. "
            "Resume with the "
            f"same data, or {start_anew(saved.folder.parent, first='start')}"
        )


def load_state(run: Changing, saved: Saved) -> None:
    """Bring a run to where a saved state was, in each of its processes.

    Raises:
        TrainingError: the state is damaged, or of another network.
    """
    facts, device = saved.facts, run.accelerator.device
    with explaining(saved.folder):
        restore(run, saved.tensors)
        run.progress.load_state_dict(facts["progress"])
        if run.accelerator.scaler and facts["scaler"]:
            run.accelerator.scaler.load_state_dict(facts["scaler"])
        rank = run.accelerator.process_index % len(facts["random"])  # there may be more now
        restore_random(below(saved.tensors, f"random/{rank}/"), facts["random"][rank], device)


@contextmanager
def explaining(folder: Path) -> Iterator[None]:
    """Say in one line that a state is damaged.

    Raises:
        TrainingError: it is.
    """
    try:
        yield
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0]
        if isinstance(error, OSError) and error.filename:
            reason = f"{Path(error.filename).name}: {reason}"
        raise TrainingError(
            f"The state of the run in {folder} is damaged: {reason.rstrip('.')}. "
            f"{start_anew(folder.parent)}"
        ) from error


def collect(run: Changing) -> dict[str, Tensor]:
    """Return all tensors that change, on the CPU, under names that tell what they are of."""
    learner = run.accelerator.unwrap_model(run.learner)
    tensors = {f"learner/{name}": value for name, value in learner.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in run.average.state_dict().items()}
    for number, values in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": value for name, value in values.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def restore(run: Changing, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors back to where `collect` took them from.

    Raises:
        RuntimeError, ValueError: they do not fit.
    """
    run.accelerator.unwrap_model(run.learner).load_state_dict(below(tensors, "learner/"))
    run.average.load_state_dict(below(tensors, "average/"))
    parameters = [value for group in run.optimizer.param_groups for value in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in below(tensors, "optimizer/").items():
        number, _, kind = name.partition("/")
        parameter = parameters[int(number)]
        if kind != "step":
            if tensor.shape != parameter.shape:
                raise ValueError(f"{name} of the optimizer has shape {tuple(tensor.shape)}")
            tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)  # its strides
        states.setdefault(int(number), {})[kind] = tensor
    groups = run.optimizer.state_dict()["param_groups"]  # the settings are checked elsewhere
    run.optimizer.load_state_dict({"state": states, "param_groups": groups})


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, without that beginning."""
    found = {name: value for name, value in tensors.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in found.items()}


def random_states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the random states of this process: tensors by name, and numbers for JSON."""
    legacy: Any = np.random.get_state(legacy=True)
    kind, keys, *position = legacy
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(keys.astype(np.int64))}
    if device.type != "cpu":
        tensors[device.type] = torch.get_device_module(device).get_rng_state().cpu()
    version, integers, gauss = random.getstate()
    tensors["python"] = torch.tensor(integers, dtype=torch.int64)
    return tensors, {"numpy": [kind, *position], "python": [version, gauss]}


def restore_random(
    tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], device: torch.device
) -> None:
    """Set the random states of this process to saved ones.

    Raises:
        RuntimeError, TypeError, ValueError, KeyError: they are none.
    """
    kind, *position = numbers["numpy"]
    np.random.set_state((kind, tensors["numpy"].numpy().astype(np.uint32), *position))
    version, gauss = numbers["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    if device.type in tensors:
        torch.get_device_module(device).set_rng_state(tensors[device.type])
    torch.set_rng_state(tensors["torch"])
