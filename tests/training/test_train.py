import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.errors import ConfigError, DataError, TrainingError
from galago.labels import LabelSet
from galago.models.checkpoint import load_checkpoint, read_tensors, save_checkpoint
from galago.models.efficientvit import build_model
from galago.spec import ModelSpec
from galago.training.config import TrainConfig
from galago.training.history import History
from galago.training.train import train

pytestmark = pytest.mark.torch

SMALL = TrainConfig(
    epochs=6,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    warmup_epochs=0.5,
    validate_every=2,
    peak_learning_rate=5e-3,
    min_scale=1.0,
    max_scale=1.0,
    color_jitter=0.1,
)


@dataclass(frozen=True)
class Finished:
    """A run that was not interrupted."""

    out: Path
    history: History
    reports: list[dict[str, float]]


@pytest.fixture(scope="module")
def finished(
    on_disk: Callable[[str], Dataset], tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    out, reports = tmp_path_factory.mktemp("runs") / "doors", []
    history = train(
        SMALL,
        on_disk("train"),
        on_disk("val"),
        out,
        description="drawn doors",
        on_progress=reports.append,
    )
    return Finished(out, history, reports)


def assert_same_run(out: Path, expected: Finished) -> None:
    """Compare weights bit by bit, and the scores."""
    tensors, _ = read_tensors(out / "last.safetensors")
    for name, tensor in read_tensors(expected.out / "last.safetensors")[0].items():
        assert torch.equal(tensors[name], tensor), name
    rows, expected_rows = read_metrics(out), read_metrics(expected.out)
    assert [(row["loss"], row["mean_iou"]) for row in rows] == [
        (row["loss"], row["mean_iou"]) for row in expected_rows
    ]


def read_metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def test_the_loss_falls(drawn: Callable[..., Dataset], tmp_path: Path):
    # with two photos a step, as in `finished`, the last loss depends on the processor
    rows = train(replace(SMALL, batch_size=8), drawn(8), drawn(1), tmp_path).rows
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]


def test_a_run_leaves_weights_measurements_and_pictures(finished: Finished):
    names = {
        "best.safetensors",
        "last.safetensors",
        "metrics.csv",
        "run.json",
        "panel.jpg",
        "report.html",
        "state",
    }
    assert {path.name for path in finished.out.iterdir()} == names


def test_metrics_have_a_line_per_epoch_and_scores_where_it_validated(finished: Finished):
    rows = read_metrics(finished.out)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["mean_iou"]) for row in rows] == [False, True] * 3


def test_the_description_says_what_was_trained_on(finished: Finished):
    run = json.loads((finished.out / "run.json").read_text())
    assert (run["data"], run["train_images"], run["val_images"]) == ("drawn doors", 4, 2)


def test_a_checkpoint_describes_itself(finished: Finished):
    network, metadata = load_checkpoint(finished.out / "best.safetensors")
    spec = ModelSpec.from_json(metadata["spec"])
    assert (spec.name, spec.variant, spec.classes) == ("doors", "b0", ("wall", "door"))
    assert json.loads(metadata["scores"])["mean_iou"] == finished.history.best
    assert json.loads(metadata["run"])["data"] == "drawn doors"
    assert not network.training


def test_a_network_for_a_short_side_says_so_in_its_checkpoint(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    config = replace(SMALL, epochs=1, short_side=64, validate_every=1)
    train(config, drawn(2, size=(150, 200)), drawn(1, size=(300, 280)), tmp_path)
    _, metadata = load_checkpoint(tmp_path / "last.safetensors")
    spec = ModelSpec.from_json(metadata["spec"])
    assert (spec.resize, spec.short_side) == ("short_side", 64)


def test_best_is_the_largest_score_so_far(finished: Finished):
    assert finished.history.best == max(
        row["mean_iou"] for row in finished.history.rows if "mean_iou" in row
    )
    assert finished.history.epoch == 6


def test_every_step_and_every_validation_is_reported(finished: Finished):
    steps = [row for row in finished.reports if "step" in row]
    assert [(row["epoch"], row["step"], row["steps"]) for row in steps] == [
        (e, s, 2) for e in range(1, 7) for s in (1, 2)
    ]
    assert [row["epoch"] for row in finished.reports if "mean_iou" in row] == [2, 4, 6]


def test_a_run_that_was_stopped_in_an_epoch_ends_as_if_it_had_not_been(
    on_disk: Callable[[str], Dataset], finished: Finished, tmp_path: Path
):
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 4 and row.get("step") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, on_disk("train"), on_disk("val"), tmp_path, on_progress=stop)
    history = train(SMALL, on_disk("train"), on_disk("val"), tmp_path, resume=True)
    assert history.epoch == 6
    assert_same_run(tmp_path, finished)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from galago.data import open_dataset
from galago.training.config import TrainConfig
from galago.training.train import train

def report(row):
    if row["epoch"] == 3 and row.get("step") == 1:
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
data, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
splits = open_dataset(data, "train"), open_dataset(data, "val")
train(TrainConfig(**settings), *splits, out, on_progress=report)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_run_that_was_killed_in_an_epoch_ends_as_if_it_had_not_been(
    on_disk: Callable[[str], Any], finished: Finished, tmp_path: Path
):
    root = on_disk("train").pairs[0].image.parents[2]
    command = [sys.executable, "-c", KILLED, str(root), str(tmp_path), repr(vars(SMALL))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    train(SMALL, on_disk("train"), on_disk("val"), tmp_path, resume=True)
    assert_same_run(tmp_path, finished)


@pytest.mark.parametrize("workers", [0, 1])
def test_random_layers_go_on_as_if_the_run_had_not_been_stopped(
    on_disk: Callable[[str], Dataset], tmp_path: Path, workers: int
):
    config = replace(SMALL, epochs=3, drop_path=0.5, validate_every=3, workers=workers)

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    sets = on_disk("train"), on_disk("val")
    with pytest.raises(KeyboardInterrupt):
        train(config, *sets, tmp_path / "cut", on_progress=stop)
    train(config, *sets, tmp_path / "cut", resume=True)
    train(config, *sets, tmp_path / "whole")
    cut, whole = (
        read_tensors(tmp_path / name / "last.safetensors")[0] for name in ("cut", "whole")
    )
    assert all(torch.equal(cut[name], tensor) for name, tensor in whole.items())


def test_a_run_that_was_stopped_before_its_first_state_begins_again(
    on_disk: Callable[[str], Dataset], finished: Finished, tmp_path: Path
):
    def stop(row: dict[str, float]) -> None:
        if "mean_iou" in row:  # last and best lie there, the state does not
            raise KeyboardInterrupt

    sets = on_disk("train"), on_disk("val")
    with pytest.raises(KeyboardInterrupt):
        train(replace(SMALL, save_every=6), *sets, tmp_path, on_progress=stop)
    assert (tmp_path / "best.safetensors").exists()
    assert not (tmp_path / "state").exists()
    with pytest.raises(
        TrainingError, match=r"holds a run already .* go on with that run by --resume"
    ):
        train(SMALL, *sets, tmp_path)
    save_network(tmp_path / "w.safetensors", 2)
    with pytest.raises(
        TrainingError, match=r"was started from random weights, now from .*w\.safetensors"
    ):
        train(SMALL, *sets, tmp_path, weights=tmp_path / "w.safetensors", resume=True)
    (tmp_path / "w.safetensors").unlink()
    train(SMALL, *sets, tmp_path, resume=True)
    assert_same_run(tmp_path, finished)


@pytest.fixture
def stopped(on_disk: Callable[[str], Any], tmp_path: Path) -> Path:
    """The folder of a run that was stopped in its third epoch."""

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, on_disk("train"), on_disk("val"), tmp_path / "run", on_progress=stop)
    return tmp_path / "run"


def test_a_run_is_not_resumed_with_swapped_class_names(
    on_disk: Callable[[str], Any], stopped: Path
):
    swapped = LabelSet(("door", "wall"), ((0, 0, 0), (255, 255, 255)))
    sets = [replace(on_disk(split), label_set=swapped) for split in ("train", "val")]
    with pytest.raises(
        TrainingError, match=r"training data had the classes wall, door, now door, wall.*--weights"
    ):
        train(SMALL, *sets, stopped, resume=True)


def test_a_run_is_not_resumed_with_more_classes(on_disk: Callable[[str], Any], stopped: Path):
    more = LabelSet(("wall", "door", "key"), ((0, 0, 0), (255, 255, 255), (1, 1, 1)))
    sets = [replace(on_disk(split), label_set=more) for split in ("train", "val")]
    with pytest.raises(
        TrainingError, match=r"training data had the classes wall, door, now wall, door, key"
    ):
        train(SMALL, *sets, stopped, resume=True)


def test_a_run_is_not_resumed_with_other_data(
    on_disk: Callable[[str], Any], drawn: Callable[..., Any], stopped: Path
):
    train_set, val_set = drawn(4), drawn(2, first=4)  # what the files hold, from memory
    for other, words in (
        ((drawn(5), val_set), "the training data had 4 images, now 5"),
        ((train_set, drawn(2, first=5)), "the validation data has images of other names"),
        (
            (with_pixels(train_set, image=90), val_set),
            "the training data has other images of the same names",
        ),
        ((with_pixels(train_set, labels=0), val_set), "the training data has other labels"),
        ((drawn(4, size=(72, 97)), val_set), "the training data has other images"),
    ):
        with pytest.raises(
            TrainingError, match=f"{words}.*Resume with the same data, or start another run"
        ):
            train(SMALL, *other, stopped, resume=True)
    with pytest.raises(TrainingError, match="there was no extra data"):
        train(SMALL, train_set, val_set, stopped, resume=True, extra_data=drawn(2))
    assert (
        train(SMALL, train_set, val_set, stopped, resume=True).epoch == 6
    )  # moved: the same images elsewhere


def with_pixels(data: Any, **values: int) -> Any:
    """Replace the image or the labels of the last sample by one value."""
    sample = data.samples[-1]
    changed = {name: np.full_like(getattr(sample, name), value) for name, value in values.items()}
    return replace(data, samples=(*data.samples[:-1], replace(sample, **changed)))


def test_a_run_is_not_resumed_with_another_teacher(on_disk: Callable[[str], Any], tmp_path: Path):
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    for name in ("one", "other"):
        save_network(tmp_path / f"{name}.safetensors", 2)
    sets = on_disk("train"), on_disk("val")
    with pytest.raises(KeyboardInterrupt):
        train(
            SMALL, *sets, tmp_path / "run", on_progress=stop, teacher=tmp_path / "one.safetensors"
        )
    with pytest.raises(TrainingError, match="the teacher is another file"):
        train(
            SMALL,
            *sets,
            tmp_path / "run",
            resume=True,
            teacher=tmp_path / "other.safetensors",
        )


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize(
    "name", ["custom_checkpoint_0.pkl", "optimizer.bin", "random_states_0.pkl", "state.safetensors"]
)
@pytest.mark.parametrize("kept", [True, False])
def test_a_pickle_in_the_state_is_never_run(
    on_disk: Callable[[str], Any], stopped: Path, tmp_path: Path, name: str, kept: bool
):
    if not kept:
        shutil.rmtree(stopped / "state")
        (stopped / "state").mkdir()
    torch.save(Planted(tmp_path / "ran"), stopped / "state" / name)
    with pytest.raises(
        TrainingError,
        match=r"state.* (is damaged|was saved by an earlier galago, as pickles).*--weights",
    ):
        train(SMALL, on_disk("train"), on_disk("val"), stopped, resume=True)
    assert not (tmp_path / "ran").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flip,
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff[["),
    ],
)
def test_a_damaged_state_is_one_clear_error(
    on_disk: Callable[[str], Any], stopped: Path, name: str, damage: Callable[[Path], Any]
):
    damage(stopped / "state" / name)
    with pytest.raises(
        TrainingError,
        match=r"state of the run in .*state is damaged: .*--weights .*last\.safetensors",
    ):
        train(SMALL, on_disk("train"), on_disk("val"), stopped, resume=True)


def test_two_runs_in_one_folder_are_kept_apart(
    on_disk: Callable[[str], Any], finished: Finished, tmp_path: Path
):
    sets, said = (on_disk("train"), on_disk("val")), []
    command = [
        sys.executable,
        "-c",
        RUN,
        *map(str, (sets[0].pairs[0].image.parents[2], tmp_path / "run", vars(SMALL))),
    ]

    def start_another(row: dict[str, float]) -> None:
        if row["epoch"] == 1 and row.get("step") == 1:
            said.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout)

    train(SMALL, *sets, tmp_path / "run", on_progress=start_another)
    assert said == [
        f"Another run is at work in {tmp_path / 'run'} (process {os.getpid()}). Wait until it "
        "has ended, "
        "or choose another folder with --out.\n"
    ]
    assert_same_run(tmp_path / "run", finished)


RUN = """
import sys
from pathlib import Path
from galago.data import open_dataset
from galago.errors import GalagoError
from galago.training.config import TrainConfig
from galago.training.train import train

data, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
try:
    train(TrainConfig(**settings), open_dataset(data, "train"), open_dataset(data, "val"), out)
except GalagoError as error:
    print(error)
"""


def test_resuming_a_complete_run_changes_nothing(
    on_disk: Callable[[str], Dataset], finished: Finished
):
    history = train(SMALL, on_disk("train"), on_disk("val"), finished.out, resume=True)
    assert history == finished.history


def test_there_is_nothing_to_resume_in_an_empty_folder(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    with pytest.raises(TrainingError, match=r"nothing to resume"):
        train(SMALL, drawn(4), drawn(2), tmp_path, resume=True)


def test_a_run_is_not_resumed_under_other_settings(
    on_disk: Callable[[str], Dataset], finished: Finished
):
    with pytest.raises(TrainingError, match=r"variant was b0, now b1"):
        train(
            replace(SMALL, variant="b1"),
            on_disk("train"),
            on_disk("val"),
            finished.out,
            resume=True,
        )


def test_a_new_run_does_not_overwrite_another_one(
    on_disk: Callable[[str], Dataset], finished: Finished
):
    with pytest.raises(TrainingError, match=r"holds a run already"):
        train(SMALL, on_disk("train"), on_disk("val"), finished.out)


def test_splits_of_different_classes_are_refused(drawn: Callable[..., Any], tmp_path: Path):
    other = replace(drawn(2), label_set=LabelSet(("wall", "gate"), ((0, 0, 0), (1, 1, 1))))
    with pytest.raises(
        TrainingError, match=r"different classes: \('wall', 'door'\) and \('wall', 'gate'\)"
    ):
        train(SMALL, drawn(4), other, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(drawn: Callable[..., Dataset], tmp_path: Path):
    wild = replace(SMALL, peak_learning_rate=1e30, max_grad_norm=1e30)
    with pytest.raises(
        TrainingError,
        match=r"The loss became (nan|inf) in epoch 1, step 2. .* lower peak_learning_rate",
    ):
        train(wild, drawn(4), drawn(2), tmp_path)


def test_a_batch_without_labels_does_not_stop_the_run(drawn: Callable[..., Any], tmp_path: Path):
    data, losses = drawn(2), []
    data.samples[1].labels[:] = 255
    train(
        replace(SMALL, epochs=1, batch_size=1),
        data,
        drawn(1),
        tmp_path,
        on_progress=lambda row: losses.append(row["loss"]),
    )
    first, mean = losses[:2]
    assert 0 in (first, 2 * mean - first)


def test_a_training_split_without_a_labeled_pixel_is_refused(
    drawn: Callable[..., Any], tmp_path: Path
):
    data = drawn(3)
    for sample in data.samples:
        sample.labels[:] = 255
    with pytest.raises(
        DataError,
        match=r"None of the 3 training photos has a pixel with a class.* galago data check",
    ):
        train(replace(SMALL, class_balance=0.5), data, drawn(1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def save_network(path: Path, num_classes: int) -> dict[str, torch.Tensor]:
    network = build_model("b0", num_classes)
    save_checkpoint(
        path, network, {"variant": "b0", "num_classes": str(num_classes), "head": "b0-cityscapes"}
    )
    return network.state_dict()


def test_an_unknown_network_is_refused(drawn: Callable[..., Dataset], tmp_path: Path):
    with pytest.raises(ConfigError, match=r"Unknown network variant 'b9'"):
        train(replace(SMALL, variant="b9"), drawn(4), drawn(2), tmp_path)


def test_a_batch_in_pieces_gives_the_gradients_of_its_pieces(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    config = replace(SMALL, epochs=1, batch_size=4, validate_every=1)
    whole, pieces = (
        train(
            replace(config, grad_accum_steps=grad_accum_steps),
            drawn(4),
            drawn(1),
            tmp_path / str(grad_accum_steps),
        ).rows[0]["loss"]
        for grad_accum_steps in (1, 2)
    )
    # one step, from the same weights: the pieces differ in what the norms see, and in nothing else
    assert pieces == pytest.approx(whole, rel=0.2)
    with pytest.raises(ConfigError, match="A batch of 4 images cannot be cut into 3 equal pieces"):
        replace(config, grad_accum_steps=3)


def test_maps_that_are_computed_twice_change_nothing(drawn: Callable[..., Dataset], tmp_path: Path):
    for activation_checkpointing in (False, True):
        config = replace(
            SMALL, epochs=2, activation_checkpointing=activation_checkpointing, validate_every=2
        )
        train(config, drawn(4), drawn(1), tmp_path / str(activation_checkpointing))
    tensors, _ = read_tensors(tmp_path / "True/last.safetensors")
    for name, expected in read_tensors(tmp_path / "False/last.safetensors")[0].items():
        assert torch.equal(tensors[name], expected), name


def test_two_runs_of_different_precision_fit_into_one_process(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    for precision in ("float32", "bfloat16"):
        train(
            replace(SMALL, epochs=1, precision=precision), drawn(2), drawn(1), tmp_path / precision
        )
