import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from galago.errors import TrainingError
from galago.training.config import TrainConfig
from galago.training.history import History
from galago.training.run_dir import (
    check_same_settings,
    check_unused,
    describe_run,
    read_description,
    write_description,
    write_metrics,
)

pytestmark = pytest.mark.torch


def describe(folder: Path, config: TrainConfig) -> None:
    write_description(
        folder, describe_run(config, data="doors", train_images=4, val_images=2, weights=None)
    )


def test_history_survives_its_state():
    history = History(epoch=2, best=0.5, rows=[{"epoch": 1.0}, {"epoch": 2.0, "mean_iou": 0.5}])
    other = History()
    other.load_state_dict(history.state_dict())
    assert other == history


def test_metrics_have_a_line_per_epoch_and_gaps_where_nothing_was_measured(tmp_path: Path):
    write_metrics(
        tmp_path,
        History(rows=[{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0, "mean_iou": 0.25}]),
    )
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,mean_iou\n1,2.5,\n2,2.0,0.25\n"


def test_the_description_holds_what_repeats_the_run(tmp_path: Path):
    describe(tmp_path, TrainConfig(seed=7))
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["config"]["seed"] == 7
    assert run["config"]["crop_size"] == [352, 480]
    assert (run["data"], run["train_images"], run["val_images"]) == ("doors", 4, 2)
    assert run["weights"] is None
    assert run["schema_version"] == 2
    assert run["versions"]["torch"].startswith("2.")
    assert {"command", "commit", "started", "python", "machine"} <= run.keys()


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        TrainingError, match=r"Cannot write .*run.json: .*another folder with --out"
    ):
        describe(tmp_path / "file/run", TrainConfig())


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors", "state"])
def test_a_folder_with_another_run_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    with pytest.raises(
        TrainingError,
        match=rf"holds a run already .{name}.. Choose another folder with --out, or .* --resume",
    ):
        check_unused(tmp_path)


def test_a_folder_of_a_run_without_weights_may_be_used_again(tmp_path: Path):
    describe(tmp_path, TrainConfig())
    check_unused(tmp_path)


def test_a_run_goes_on_with_its_own_settings_and_any_number_of_workers(tmp_path: Path):
    describe(tmp_path, TrainConfig(workers=1))
    check_same_settings(tmp_path, TrainConfig(workers=3))


def test_other_settings_are_named(tmp_path: Path):
    describe(tmp_path, TrainConfig())
    with pytest.raises(
        TrainingError,
        match=r"batch_size was 8, now 4; crop_size was .352, 480., now .64, 64.*--weights",
    ):
        check_same_settings(tmp_path, TrainConfig(batch_size=4, crop_size=(64, 64)))


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_a_damaged_description_is_a_clear_error(tmp_path: Path, text: str):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(TrainingError, match=r"run.json is missing or damaged"):
        check_same_settings(tmp_path, TrainConfig())


OLD = Path(__file__).parent.parent / "golden/old/run.json"  # written by commit cd06512


def test_a_run_of_galago_0_1_is_described_under_todays_names(tmp_path: Path):
    shutil.copy(OLD, tmp_path / "run.json")
    run = read_description(tmp_path)
    assert (run["train_images"], run["val_images"], run["schema_version"]) == (4, 2, 2)
    assert run["config"]["class_balanced_crop"] == 0.5
    assert set(run["config"]) <= set(TrainConfig.__dataclass_fields__)
    settings = {name: run["config"][name] for name in ("epochs", "batch_size", "workers")}
    check_same_settings(
        tmp_path,
        TrainConfig(
            **settings,
            crop_size=(64, 64),
            precision="float32",
            warmup_epochs=0.5,
            validate_every=2,
            peak_learning_rate=5e-3,
            drop_path=0.3,
        ),
    )


def test_a_run_with_a_setting_that_is_gone_is_not_resumed(tmp_path: Path):
    run = json.loads(OLD.read_text())
    run["config"]["style_mix"] = 0.5
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(
        TrainingError,
        match=r"settings that galago no longer has: style_mix=0.5. It cannot be resumed; start "
        r"another run from its weights with --weights .*last\.safetensors",
    ):
        check_same_settings(tmp_path, TrainConfig())
