import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset  # noqa: E402
from galago.errors import CheckpointError, ConfigError, TrainingError  # noqa: E402
from galago.labels import LabelSet  # noqa: E402
from galago.models.checkpoint import load_checkpoint, read_tensors, save_checkpoint  # noqa: E402
from galago.models.efficientvit import build_model  # noqa: E402
from galago.spec import ModelSpec  # noqa: E402
from galago.training.config import TrainConfig  # noqa: E402
from galago.training.learner import Learner, start_network  # noqa: E402
from galago.training.optimizer import learning_rate, make_optimizer, set_rate  # noqa: E402
from galago.training.run import Progress  # noqa: E402
from galago.training.train import mixed_precision, train  # noqa: E402

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
    color=0.1,
)


@dataclass(frozen=True)
class Finished:
    """A run that was not interrupted."""

    out: Path
    progress: Progress
    reports: list[dict[str, float]]


@pytest.fixture(scope="module")
def finished(on_disk: Callable[[str], Dataset], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out, reports = tmp_path_factory.mktemp("runs") / "doors", []
    progress = train(SMALL, on_disk("train"), on_disk("val"), out, data="drawn doors", report=reports.append)
    return Finished(out, progress, reports)


def assert_same_run(out: Path, expected: Finished) -> None:
    """Compare weights bit by bit, and the scores."""
    tensors, _ = read_tensors(out / "last.safetensors")
    for name, tensor in read_tensors(expected.out / "last.safetensors")[0].items():
        assert torch.equal(tensors[name], tensor), name
    rows, expected_rows = read_metrics(out), read_metrics(expected.out)
    assert [(row["loss"], row["mean_iou"]) for row in rows] == [(row["loss"], row["mean_iou"]) for row in expected_rows]


def read_metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def test_the_loss_falls(drawn: Callable[..., Dataset], tmp_path: Path):
    # with two photos a step, as in `finished`, the last loss depends on the processor
    rows = train(replace(SMALL, batch_size=8), drawn(8), drawn(1), tmp_path).rows
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]


def test_a_run_leaves_weights_measurements_and_pictures(finished: Finished):
    names = {"best.safetensors", "last.safetensors", "metrics.csv", "run.json", "panel.jpg", "report.html", "state"}
    assert {path.name for path in finished.out.iterdir()} == names


def test_metrics_have_a_line_per_epoch_and_scores_where_it_validated(finished: Finished):
    rows = read_metrics(finished.out)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["mean_iou"]) for row in rows] == [False, True] * 3


def test_the_description_says_what_was_trained_on(finished: Finished):
    run = json.loads((finished.out / "run.json").read_text())
    assert (run["data"], run["train_photos"], run["val_photos"]) == ("drawn doors", 4, 2)


def test_a_checkpoint_describes_itself(finished: Finished):
    network, metadata = load_checkpoint(finished.out / "best.safetensors")
    spec = ModelSpec.from_json(metadata["spec"])
    assert (spec.name, spec.variant, spec.classes) == ("doors", "b0", ("wall", "door"))
    assert json.loads(metadata["scores"])["mean_iou"] == finished.progress.best
    assert json.loads(metadata["run"])["data"] == "drawn doors"
    assert not network.training


def test_a_network_for_a_short_side_says_so_in_its_checkpoint(drawn: Callable[..., Dataset], tmp_path: Path):
    config = replace(SMALL, epochs=1, short_side=64, validate_every=1)
    train(config, drawn(2, size=(150, 200)), drawn(1, size=(300, 280)), tmp_path)
    _, metadata = load_checkpoint(tmp_path / "last.safetensors")
    spec = ModelSpec.from_json(metadata["spec"])
    assert (spec.resize, spec.short_side) == ("short_side", 64)


def test_best_is_the_largest_score_so_far(finished: Finished):
    assert finished.progress.best == max(row["mean_iou"] for row in finished.progress.rows if "mean_iou" in row)
    assert finished.progress.epoch == 6


def test_every_step_and_every_validation_is_reported(finished: Finished):
    steps = [row for row in finished.reports if "step" in row]
    assert [(row["epoch"], row["step"], row["steps"]) for row in steps] == [(e, s, 2) for e in range(1, 7) for s in (1, 2)]
    assert [row["epoch"] for row in finished.reports if "mean_iou" in row] == [2, 4, 6]


def test_a_run_that_was_stopped_in_an_epoch_ends_as_if_it_had_not_been(
    on_disk: Callable[[str], Dataset], finished: Finished, tmp_path: Path
):
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 4 and row.get("step") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, on_disk("train"), on_disk("val"), tmp_path, report=stop)
    progress = train(SMALL, on_disk("train"), on_disk("val"), tmp_path, start=(None, True))
    assert progress.epoch == 6
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
train(TrainConfig(**settings), open_dataset(data, "train"), open_dataset(data, "val"), out, report=report)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_run_that_was_killed_in_an_epoch_ends_as_if_it_had_not_been(
    on_disk: Callable[[str], Any], finished: Finished, tmp_path: Path
):
    root = on_disk("train").pairs[0].photo.parents[2]
    command = [sys.executable, "-c", KILLED, str(root), str(tmp_path), repr(vars(SMALL))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    train(SMALL, on_disk("train"), on_disk("val"), tmp_path, start=(None, True))
    assert_same_run(tmp_path, finished)


def test_resuming_a_complete_run_changes_nothing(on_disk: Callable[[str], Dataset], finished: Finished):
    progress = train(SMALL, on_disk("train"), on_disk("val"), finished.out, start=(None, True))
    assert progress == finished.progress


def test_there_is_nothing_to_resume_in_an_empty_folder(drawn: Callable[..., Dataset], tmp_path: Path):
    with pytest.raises(TrainingError, match=r"nothing to resume"):
        train(SMALL, drawn(4), drawn(2), tmp_path, start=(None, True))


def test_a_run_is_not_resumed_under_other_settings(on_disk: Callable[[str], Dataset], finished: Finished):
    with pytest.raises(TrainingError, match=r"variant was b0, now b1"):
        train(replace(SMALL, variant="b1"), on_disk("train"), on_disk("val"), finished.out, start=(None, True))


def test_a_new_run_does_not_overwrite_another_one(on_disk: Callable[[str], Dataset], finished: Finished):
    with pytest.raises(TrainingError, match=r"holds a run already"):
        train(SMALL, on_disk("train"), on_disk("val"), finished.out)


def test_splits_of_different_classes_are_refused(drawn: Callable[..., Any], tmp_path: Path):
    other = replace(drawn(2), labels=LabelSet(("wall", "gate"), ((0, 0, 0), (1, 1, 1))))
    with pytest.raises(TrainingError, match=r"different classes: \('wall', 'door'\) and \('wall', 'gate'\)"):
        train(SMALL, drawn(4), other, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(drawn: Callable[..., Dataset], tmp_path: Path):
    wild = replace(SMALL, peak_learning_rate=1e30, gradient_clip=1e30)
    with pytest.raises(TrainingError, match=r"The loss became (nan|inf) in epoch 1, step 2. .* lower peak_learning_rate"):
        train(wild, drawn(4), drawn(2), tmp_path)


def test_a_batch_without_labels_does_not_stop_the_run(drawn: Callable[..., Any], tmp_path: Path):
    data = drawn(2)
    for sample in data.samples:
        sample.labels[:] = 255
    assert train(replace(SMALL, epochs=1), data, drawn(1), tmp_path).rows[0]["loss"] == 0


def save_network(path: Path, num_classes: int) -> dict[str, torch.Tensor]:
    network = build_model("b0", num_classes)
    save_checkpoint(path, network, {"variant": "b0", "num_classes": str(num_classes), "head": "b0-cityscapes"})
    return network.state_dict()


def test_weights_for_as_many_classes_are_taken_over_whole(tmp_path: Path):
    saved = save_network(tmp_path / "w.safetensors", 2)
    started = start_network(SMALL, 2, tmp_path / "w.safetensors").state_dict()
    assert all(torch.equal(started[name], tensor) for name, tensor in saved.items())


def test_weights_for_other_classes_restart_the_classifier_only(tmp_path: Path):
    saved = save_network(tmp_path / "w.safetensors", 5)
    started = start_network(SMALL, 2, tmp_path / "w.safetensors").state_dict()
    changed = [name for name, tensor in saved.items() if not torch.equal(started[name], tensor)]
    assert changed == ["head.classify.weight", "head.classify.bias"]
    assert started["head.classify.bias"].shape == (2,)


def test_weights_of_another_network_are_refused(tmp_path: Path):
    save_network(tmp_path / "w.safetensors", 2)
    with pytest.raises(CheckpointError, match=r"w.safetensors do not fit the network"):
        start_network(replace(SMALL, variant="b1"), 2, tmp_path / "w.safetensors")


def test_an_unknown_network_is_refused(drawn: Callable[..., Dataset], tmp_path: Path):
    with pytest.raises(ConfigError, match=r"Unknown network variant 'b9'"):
        train(replace(SMALL, variant="b9"), drawn(4), drawn(2), tmp_path)


def test_the_rate_warms_up_and_falls_along_a_cosine():
    config = replace(SMALL, epochs=10, warmup_epochs=1.0, peak_learning_rate=1.0)
    rates = [learning_rate(config, step, steps_per_epoch=4) for step in (0, 3, 4, 22, 40)]
    # 4 steps of warm-up, then half a cosine over 36
    assert rates == pytest.approx([1 / 5, 4 / 5, 1, 0.5, 0])


def test_warm_up_takes_half_of_a_short_run_at_most():
    config = replace(SMALL, epochs=1, warmup_epochs=3.0, peak_learning_rate=1.0)
    rates = [learning_rate(config, step, steps_per_epoch=4) for step in range(4)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 0.5 * (1 + math.cos(math.pi / 2))])


def test_only_convolution_weights_decay():
    network = build_model("b0", 2)
    groups = {group["weight_decay"]: group for group in make_optimizer(network, SMALL).param_groups}
    others, decayed = groups[0.0], groups[0.05]
    assert all(parameter.ndim == 4 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in others["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_earlier_stages_learn_more_slowly_where_the_rate_decays_by_layer():
    optimizer = make_optimizer(build_model("b0", 2), replace(SMALL, layer_decay=0.5))
    set_rate(optimizer, 0.32)
    rates = sorted({group["lr"] for group in optimizer.param_groups})
    assert rates == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32])  # stages 1 to 5, head


def test_a_batch_in_pieces_gives_the_gradients_of_its_pieces(drawn: Callable[..., Dataset], tmp_path: Path):
    config = replace(SMALL, epochs=1, batch_size=4, validate_every=1)
    whole, pieces = (
        train(replace(config, accumulate=accumulate), drawn(4), drawn(1), tmp_path / str(accumulate)).rows[0]["loss"]
        for accumulate in (1, 2)
    )
    # one step, from the same weights: the pieces differ in what the norms see, and in nothing else
    assert pieces == pytest.approx(whole, rel=0.2)
    with pytest.raises(ConfigError, match="A batch of 4 photos cannot be cut into 3 equal pieces"):
        replace(config, accumulate=3)


def test_maps_that_are_computed_twice_change_nothing(drawn: Callable[..., Dataset], tmp_path: Path):
    for checkpointing in (False, True):
        config = replace(SMALL, epochs=2, checkpointing=checkpointing, validate_every=2)
        train(config, drawn(4), drawn(1), tmp_path / str(checkpointing))
    tensors, _ = read_tensors(tmp_path / "True/last.safetensors")
    for name, expected in read_tensors(tmp_path / "False/last.safetensors")[0].items():
        assert torch.equal(tensors[name], expected), name


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")
def test_compiling_renames_no_tensor():
    # that a compiled network computes the same is for tests/models; two compilations at once disturb each other
    learner = Learner(build_model("b0", 2), 2, SMALL)
    names = list(learner.state_dict())
    learner.compile()
    assert list(learner.state_dict()) == names


def test_the_precision_is_what_was_asked_for():
    cpu = torch.device("cpu")
    assert mixed_precision("bfloat16", cpu) == "bf16"
    assert mixed_precision("float32", cpu) == "no"
    with pytest.raises(TrainingError, match="float16 trains on GPUs only"):
        mixed_precision("float16", cpu)


def test_two_runs_of_different_precision_fit_into_one_process(drawn: Callable[..., Dataset], tmp_path: Path):
    for precision in ("float32", "bfloat16"):
        train(replace(SMALL, epochs=1, precision=precision), drawn(2), drawn(1), tmp_path / precision)
