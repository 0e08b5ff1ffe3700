"""The saved state of a run: the old or the new one, whole, and nothing in it is run."""

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

from accelerate import Accelerator

from galago.errors import TrainingError
from galago.training.model import ema
from galago.training.run_dir import Progress
from galago.training.state import (
    Changing,
    check_same_data,
    find_state,
    load_state,
    read_state,
    save_state,
)

pytestmark = pytest.mark.torch

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="limits and kills as POSIX systems can")
# In a process of its own: after a failed write, torch's writer is destroyed at a time of Python's
# choosing.
SAVE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_state import changing
from galago.errors import TrainingError
from galago.training.state import save_state

out, limit = Path(sys.argv[1]), int(sys.argv[2])
run = changing(2)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))  # bytes a file may have
print("ready", flush=True)
try:
    while True:
        save_state(run, out)
        run.progress.epoch += 1
except TrainingError as error:
    print(error)
"""


def changing(epoch: int, scaled: bool = False) -> Changing:
    """A network after one step of AdamW, its maps in the order of channels_last."""
    torch.manual_seed(epoch)
    accelerator = Accelerator(mixed_precision="no", cpu=True)
    learner = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.1)
    average = ema(learner, 0.9)
    learner(torch.rand(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    average.update_parameters(learner)
    if scaled:
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**epoch)
    progress = Progress(
        epoch, 0.1 * epoch, [{"epoch": float(number + 1)} for number in range(epoch)]
    )
    return Changing(accelerator, learner, optimizer, average, progress, {})


def load(state: Path | None) -> Changing:
    assert state
    run = changing(0)
    load_state(run, read_state(state))
    return run


def test_all_that_changes_comes_back(tmp_path: Path):
    run = changing(3, scaled=True)
    save_state(run, tmp_path)
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    other = changing(1, scaled=True)
    load_state(other, read_state(tmp_path / "state"))
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn
    assert other.progress == run.progress
    assert other.accelerator.scaler.get_scale() == 8.0
    for name in ("learner", "average"):
        expected = getattr(run, name).state_dict()
        assert all(
            torch.equal(value, expected[key])
            for key, value in getattr(other, name).state_dict().items()
        )
    states, expected = (x.optimizer.state_dict()["state"] for x in (other, run))
    assert states.keys() == expected.keys() == {0, 1}
    for number, state in states.items():
        for name, value in state.items():
            assert torch.equal(value, expected[number][name]), name
            assert value.stride() == expected[number][name].stride()  # else sums take another path


def test_the_newest_state_is_the_one_to_go_on_from(tmp_path: Path):
    for epoch in (1, 2):
        save_state(changing(epoch), tmp_path)
    assert load(find_state(tmp_path)).progress.epoch == 2
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_there_may_be_no_state_yet(tmp_path: Path):
    assert find_state(tmp_path / "nowhere") is None


@POSIX
@pytest.mark.parametrize("limit", [10, 100])
def test_a_full_disk_is_one_clear_line_and_leaves_the_old_state(tmp_path: Path, limit: int):
    save_state(changing(1), tmp_path)
    command = [sys.executable, "-c", SAVE, str(tmp_path), str(limit), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = r"ready\nCannot save the state of the run in .*\. Free space, then --resume.*\n"
    assert re.fullmatch(words, done.stdout), done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert load(find_state(tmp_path)).progress.epoch == 1


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
        assert load(find_state(tmp_path)).progress.epoch >= 2
    save_state(changing(1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("name", ["state", "state.old"])
def test_a_state_of_pickles_is_refused_unread(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    (tmp_path / name / "custom_checkpoint_0.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (tmp_path / "last.safetensors").write_bytes(b"")
    words = rf"{name} was saved by an earlier galago, as pickles.*--weights .*last\.safetensors with another --out"
    with pytest.raises(TrainingError, match=words):
        find_state(tmp_path)


def test_a_state_of_another_network_is_a_clear_error(tmp_path: Path):
    save_state(changing(1), tmp_path)
    other = changing(2)
    other.learner = torch.nn.Conv2d(3, 5, 3)
    with pytest.raises(
        TrainingError, match=r"damaged: .*Start another run with another --out and without --resume"
    ):
        load_state(other, read_state(tmp_path / "state"))


def test_the_same_data_passes_and_other_data_is_named(tmp_path: Path):
    run = changing(1)
    run.data["teacher"] = "ab"
    save_state(run, tmp_path)
    saved = read_state(tmp_path / "state")
    check_same_data(saved, {"teacher": "ab"})
    with pytest.raises(
        TrainingError, match=r"started with other data: the teacher is another file. Resume with"
    ):
        check_same_data(saved, {"teacher": "cd"})


def test_no_file_of_a_state_is_a_pickle(tmp_path: Path):
    save_state(changing(1), tmp_path)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [
        "state.json",
        "state.safetensors",
    ]


def test_a_state_without_one_of_its_files_names_the_file(tmp_path: Path):
    save_state(changing(1), tmp_path)
    (tmp_path / "state" / "state.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"damaged: state\.safetensors: No such file"):
        read_state(tmp_path / "state")
