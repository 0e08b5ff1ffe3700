"""The saved state of a run: the old or the new one, whole, and nothing in it is run."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open
from safetensors.torch import save_file

from galago._core.atomic_io import sha256
from galago.errors import TrainingError
from galago.training.config import TrainConfig
from galago.training.history import History
from galago.training.resume import (
    check_same_data,
    find_state,
    load_state,
    read_state,
    save_state,
)
from galago.training.train_state import TrainState, make_accelerator, make_train_state

pytestmark = pytest.mark.torch

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="limits and kills as POSIX systems can")
# In a process of its own: after a failed write, torch's writer is destroyed at a time of Python's
# choosing.
SAVE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_resume import make_state
from galago.errors import TrainingError
from galago.training.resume import save_state

out, limit = Path(sys.argv[1]), int(sys.argv[2])
state = make_state(2, out)
if limit:
    # bytes a file may have
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
print("ready", flush=True)
try:
    while True:
        save_state(state)
        state.history.epoch += 1
except TrainingError as error:
    print(error)
"""


class Nothing:
    """A data set of augmented samples that nobody reads."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def describe(self, key: tuple[int, int]) -> str:
        raise NotImplementedError


def make_state(epoch: int, out: Path, scaled: bool = False) -> TrainState:
    """A convolution after one step of AdamW, its weights in the order of channels_last."""
    config = TrainConfig(seed=epoch, peak_learning_rate=0.1, ema_decay=0.9, precision="float32")
    accelerator = make_accelerator(config)
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    state = make_train_state(
        config, accelerator, model=model, network=model, samples=Nothing(), out=out
    )
    model(torch.rand(1, 3, 8, 8)).sum().backward()
    state.optimizer.step()
    state.ema.update_parameters(model)
    if scaled:
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**epoch)
    rows = [{"epoch": float(number + 1)} for number in range(epoch)]
    state.history = History(epoch, 0.1 * epoch, rows)
    return state


def load(folder: Path | None) -> TrainState:
    assert folder
    state = make_state(0, folder.parent)
    load_state(state, read_state(folder))
    return state


def test_all_that_changes_comes_back(tmp_path: Path):
    state = make_state(3, tmp_path, scaled=True)
    save_state(state)
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    other = make_state(1, tmp_path, scaled=True)
    load_state(other, read_state(tmp_path / "state"))
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn
    assert other.history == state.history
    assert other.accelerator.scaler.get_scale() == 8.0
    for name in ("model", "ema"):
        expected = getattr(state, name).state_dict()
        assert all(
            torch.equal(value, expected[key])
            for key, value in getattr(other, name).state_dict().items()
        )
    states, expected = (x.optimizer.state_dict()["state"] for x in (other, state))
    assert states.keys() == expected.keys() == {0, 1}
    for number, values in states.items():
        for name, value in values.items():
            assert torch.equal(value, expected[number][name]), name
            assert value.stride() == expected[number][name].stride()  # else sums take another path


def test_the_newest_state_is_the_one_to_go_on_from(tmp_path: Path):
    for epoch in (1, 2):
        save_state(make_state(epoch, tmp_path))
    assert load(find_state(tmp_path)).history.epoch == 2
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_there_may_be_no_state_yet(tmp_path: Path):
    assert find_state(tmp_path / "nowhere") is None


@POSIX
@pytest.mark.parametrize("limit", [10, 100])
def test_a_full_disk_is_one_clear_line_and_leaves_the_old_state(tmp_path: Path, limit: int):
    save_state(make_state(1, tmp_path))
    command = [sys.executable, "-c", SAVE, str(tmp_path), str(limit), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = r"ready\nCannot save the state of the run in .*\. Free space, then --resume.*\n"
    assert re.fullmatch(words, done.stdout), done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert load(find_state(tmp_path)).history.epoch == 1


@POSIX
@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_state(tmp_path: Path):
    command = [sys.executable, "-c", SAVE, str(tmp_path), "0", str(Path(__file__).parent)]
    rng = random.Random(0)
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(rng.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
        assert load(find_state(tmp_path)).history.epoch >= 2
    save_state(make_state(1, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("name", ["state", "state.old"])
def test_a_state_of_pickles_is_refused_unread(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    (tmp_path / name / "custom_checkpoint_0.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (tmp_path / "last.safetensors").write_bytes(b"")
    words = (
        rf"{name} was saved by an earlier galago, as pickles.*"
        r"--weights .*last\.safetensors with another --out"
    )
    with pytest.raises(TrainingError, match=words):
        find_state(tmp_path)


def test_a_state_of_another_network_is_a_clear_error(tmp_path: Path):
    save_state(make_state(1, tmp_path))
    other = make_state(2, tmp_path)
    other.model = torch.nn.Conv2d(3, 5, 3)
    with pytest.raises(
        TrainingError, match=r"damaged: .*Start another run with another --out and without --resume"
    ):
        load_state(other, read_state(tmp_path / "state"))


def test_the_same_data_passes_and_other_data_is_named(tmp_path: Path):
    state = make_state(1, tmp_path)
    state.fingerprint["teacher"] = "ab"
    save_state(state)
    saved = read_state(tmp_path / "state")
    check_same_data(saved, {"teacher": "ab"})
    with pytest.raises(
        TrainingError, match=r"started with other data: the teacher is another file. Resume with"
    ):
        check_same_data(saved, {"teacher": "cd"})


def test_no_file_of_a_state_is_a_pickle(tmp_path: Path):
    save_state(make_state(1, tmp_path))
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [
        "state.json",
        "state.safetensors",
    ]


def test_a_state_without_one_of_its_files_names_the_file(tmp_path: Path):
    save_state(make_state(1, tmp_path))
    (tmp_path / "state" / "state.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"damaged: state\.safetensors: No such file"):
        read_state(tmp_path / "state")


def test_a_state_of_schema_version_1_is_loaded(tmp_path: Path):
    state = make_state(2, tmp_path)
    state.history.rows = [{"epoch": 1.0, "lr": 0.1, "data_wait": 0.2}]
    save_state(state)
    rewrite_as_version_1(tmp_path / "state")
    saved = read_state(tmp_path / "state")
    assert saved.metadata["fingerprint"] == {"extra data": {"count": 3}}
    other = make_state(1, tmp_path)
    load_state(other, saved)
    assert other.history == state.history
    assert torch.equal(other.model.weight, state.model.weight)
    assert torch.equal(other.ema.module.weight, state.ema.module.weight)


def rewrite_as_version_1(folder: Path) -> None:
    """Give a state the names that galago 0.1 wrote."""
    with safe_open(folder / "state.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads(file.metadata()["run"])
    old = {"model/": "learner/", "ema/": "average/"}
    for new, name in old.items():
        tensors = {key.replace(new, name, 1): value for key, value in tensors.items()}
    facts["progress"] = facts.pop("history")
    facts["progress"]["rows"] = [{"epoch": 1.0, "rate": 0.1, "waited": 0.2}]
    del facts["fingerprint"]
    facts["data"] = {"mixed-in data": {"count": 3}}
    save_file(tensors, folder / "state.safetensors", metadata={"run": json.dumps(facts)})
    described = {"schema_version": 1, "sha256": sha256(folder / "state.safetensors")}
    (folder / "state.json").write_text(json.dumps(described))
