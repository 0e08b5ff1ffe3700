import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from accelerate import Accelerator  # noqa: E402

from galago.errors import TrainingError  # noqa: E402
from galago.training.config import TrainConfig  # noqa: E402
from galago.training.run import (  # noqa: E402
    Progress,
    check_same_settings,
    check_unused,
    describe_run,
    find_state,
    save_state,
    write_description,
    write_metrics,
)

pytestmark = pytest.mark.torch


# In a process of its own: after a failed write, torch's writer is destroyed at a time of Python's choosing, and may fail again.
SAVE_WITH_LIMIT = """
import resource, sys
from pathlib import Path
from accelerate import Accelerator
from galago.errors import TrainingError
from galago.training.run import save_state

accelerator = Accelerator(mixed_precision="no")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))  # bytes a file may have
try:
    save_state(accelerator, Path(sys.argv[1]))
except TrainingError as error:
    print(error)
"""


class Counter:
    """Something with a state."""

    def __init__(self, value: int) -> None:
        self.value = value

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


def save(folder: Path, value: int) -> None:
    accelerator = Accelerator(mixed_precision="no")
    accelerator.register_for_checkpointing(Counter(value))
    save_state(accelerator, folder)


def load(state: Path) -> int:
    accelerator, counter = Accelerator(mixed_precision="no"), Counter(-1)
    accelerator.register_for_checkpointing(counter)
    accelerator.load_state(str(state))
    return counter.value


def describe(folder: Path, config: TrainConfig) -> None:
    write_description(folder, describe_run(config, data="doors", photos=(4, 2), weights=None))


def test_the_newest_state_is_the_one_to_go_on_from(tmp_path: Path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert load(find_state(tmp_path)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_kill_between_the_renames_leaves_the_old_state(tmp_path: Path):
    save(tmp_path, 1)
    (tmp_path / "state").rename(tmp_path / "state.old")
    assert load(find_state(tmp_path)) == 1
    save(tmp_path, 2)
    assert load(find_state(tmp_path)) == 2


def test_the_only_whole_state_stays_until_the_next_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path, 1)
    (tmp_path / "state").rename(tmp_path / "state.old")

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 2)
    assert load(find_state(tmp_path)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX systems can")
@pytest.mark.parametrize("limit", [0, 100])
def test_a_full_disk_is_one_clear_line_and_leaves_the_old_state(tmp_path: Path, limit: int):
    save(tmp_path, 1)
    done = subprocess.run(
        [sys.executable, "-c", SAVE_WITH_LIMIT, str(tmp_path), str(limit)], capture_output=True, text=True, check=False
    )
    assert re.fullmatch(r"Cannot save the state of the run in .*\. Free space, then --resume.*\n", done.stdout), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert load(find_state(tmp_path)) == 1


def test_nothing_to_resume_is_a_clear_error(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"nothing to resume in .*: it has no saved state. Start the run without --resume"):
        find_state(tmp_path / "nowhere")


def test_progress_survives_its_state():
    progress = Progress(epoch=2, best=0.5, rows=[{"epoch": 1.0}, {"epoch": 2.0, "mean_iou": 0.5}])
    other = Progress()
    other.load_state_dict(progress.state_dict())
    assert other == progress


def test_metrics_have_a_line_per_epoch_and_gaps_where_nothing_was_measured(tmp_path: Path):
    write_metrics(tmp_path, Progress(rows=[{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0, "mean_iou": 0.25}]))
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,mean_iou\n1,2.5,\n2,2.0,0.25\n"


def test_the_description_holds_what_repeats_the_run(tmp_path: Path):
    describe(tmp_path, TrainConfig(seed=7))
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["config"]["seed"] == 7
    assert run["config"]["crop_size"] == [352, 480]
    assert (run["data"], run["train_photos"], run["val_photos"], run["weights"]) == ("doors", 4, 2, None)
    assert run["versions"]["torch"].startswith("2.")
    assert {"command", "commit", "started", "python", "machine"} <= run.keys()


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"Cannot write .*run.json: .*another folder with --out"):
        describe(tmp_path / "file/run", TrainConfig())


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors", "state"])
def test_a_folder_with_another_run_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    with pytest.raises(TrainingError, match=rf"holds a run already .{name}.. Choose another folder with --out, or .* --resume"):
        check_unused(tmp_path)


def test_a_folder_of_a_run_without_weights_may_be_used_again(tmp_path: Path):
    describe(tmp_path, TrainConfig())
    check_unused(tmp_path)


def test_a_run_goes_on_with_its_own_settings_and_any_number_of_workers(tmp_path: Path):
    describe(tmp_path, TrainConfig(workers=1))
    check_same_settings(tmp_path, TrainConfig(workers=3))


def test_other_settings_are_named(tmp_path: Path):
    describe(tmp_path, TrainConfig())
    with pytest.raises(TrainingError, match=r"batch_size was 8, now 4; crop_size was .352, 480., now .64, 64.*--weights"):
        check_same_settings(tmp_path, TrainConfig(batch_size=4, crop_size=(64, 64)))


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_a_damaged_description_is_a_clear_error(tmp_path: Path, text: str):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(TrainingError, match=r"run.json is missing or damaged"):
        check_same_settings(tmp_path, TrainConfig())
