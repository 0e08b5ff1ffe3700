"""Training in several processes: what one process gets from a batch, two get from its halves."""

import csv
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.errors import TrainingError
from galago.models.checkpoint import read_tensors
from galago.training.config import TrainConfig
from galago.training.data import BatchSampler
from galago.training.distributed import SyncedBatchNorm
from galago.training.run_dir import lock_run_dir
from galago.training.train import train

pytestmark = pytest.mark.torch

SETTINGS = TrainConfig(
    epochs=3,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    warmup_epochs=0.5,
    validate_every=3,
    peak_learning_rate=3e-4,
    min_scale=1.0,
    max_scale=1.0,
)
PART = """
import os
import signal
import sys
from pathlib import Path
import torch
from galago.data import open_dataset
from galago.training.config import TrainConfig
from galago.training.train import train

torch.set_num_threads(1)
data, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
resume, stop = (out / "state").exists(), int(settings.pop("stop", 0))

def report(row):
    if stop and row["epoch"] == stop and not resume:
        os.kill(os.getpid(), signal.SIGKILL)

sets = open_dataset(data, "train"), open_dataset(data, "val")
train(TrainConfig(**settings), *sets, out, resume=resume, on_progress=report)
"""


def test_a_norm_trains_as_torchs_own():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 6)
    own, expected = SyncedBatchNorm(3), torch.nn.BatchNorm2d(3)
    for norm in (own, expected):
        norm.weight.data = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(own(x), expected(x))
    torch.testing.assert_close(own.running_mean, expected.running_mean)
    torch.testing.assert_close(own.running_var, expected.running_var)
    torch.testing.assert_close(own.eval()(x), expected.eval()(x))


def test_each_process_gets_its_part_of_the_same_batches():
    whole = list(BatchSampler(11, 4, seed=3, epochs=1))
    parts = [
        list(BatchSampler(11, 4, seed=3, epochs=1, rank=rank, world_size=2)) for rank in (0, 1)
    ]
    assert [sorted(first + second) for first, second in zip(*parts, strict=True)] == [
        sorted(batch) for batch in whole
    ]


def test_a_batch_that_leaves_a_rest_is_refused():
    with pytest.raises(
        TrainingError, match=r"A batch of 8 cannot be shared by 3 processes\. Choose --batch"
    ):
        BatchSampler(20, 8, seed=0, epochs=1, world_size=3)


def in_two_processes(script: Path, data: Path, out: Path, settings: TrainConfig = SETTINGS) -> str:
    """Run a script in two processes, and return what they said in their end."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
    ]
    done = subprocess.run(
        [*command, str(data), str(out), repr(vars(settings))],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode == 0) == (out / "report.html").exists(), done.stderr[-3000:]
    return done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_two_processes_have_the_loss_curve_of_one(on_disk: Callable[[str], Any], tmp_path: Path):
    root = on_disk("train").pairs[0].image.parents[2]
    script = tmp_path / "part.py"
    script.write_text(PART)
    in_two_processes(script, root, tmp_path / "two")
    expected = train(SETTINGS, on_disk("train"), on_disk("val"), tmp_path / "one")
    rows = list(csv.DictReader((tmp_path / "two/metrics.csv").read_text().splitlines()))
    # the same float32 sums in another order, over six steps
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [row["loss"] for row in expected.rows], rel=1e-3
    )
    two, one = (read_tensors(tmp_path / name / "last.safetensors")[0] for name in ("two", "one"))
    assert two.keys() == one.keys()
    for name in (name for name in one if name.endswith("running_var")):
        assert (two[name] - one[name]).norm() <= 1e-2 * one[name].norm(), name


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_two_processes_run_out_of_patience_together(on_disk: Callable[[str], Any], tmp_path: Path):
    root = on_disk("train").pairs[0].image.parents[2]
    script = tmp_path / "part.py"
    script.write_text(PART)
    still = replace(
        SETTINGS, epochs=9, validate_every=1, patience=1, peak_learning_rate=1e-30, ema_decay=0.0
    )
    in_two_processes(script, root, tmp_path / "run", still)
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert len(rows) < 9
    assert (tmp_path / "run/state").is_dir()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_a_process_keeps_its_part_of_a_bad_batch(on_disk: Callable[[str], Any], tmp_path: Path):
    root = on_disk("train").pairs[0].image.parents[2]
    script = tmp_path / "part.py"
    script.write_text(PART)
    wild = replace(SETTINGS, peak_learning_rate=1e30, max_grad_norm=1e30)
    said = in_two_processes(script, root, tmp_path / "run", wild)
    assert "TrainingError: The loss became nan" in said
    files = sorted((tmp_path / "run").glob("bad_batch_*.npz"))
    assert files  # the launcher ends the other process, perhaps before it has written
    with np.load(files[0]) as kept:
        assert kept["images"].shape == (1, 3, 64, 64)


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_two_processes_that_were_killed_go_on_as_if_they_had_not_been(
    on_disk: Callable[[str], Any], tmp_path: Path
):
    root = on_disk("train").pairs[0].image.parents[2]
    script = tmp_path / "part.py"
    script.write_text(PART)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(root),
    ]
    settings = vars(replace(SETTINGS, drop_path=0.5))  # each process draws its own
    for name, stops in (("whole", [0]), ("cut", [3, 0])):
        for stop in stops:
            told = [str(tmp_path / name), repr(settings | {"stop": stop})]
            done = subprocess.run(
                [*command, *told], capture_output=True, text=True, check=False, timeout=300
            )
            assert (done.returncode == 0) == (stop == 0), done.stderr[-3000:]
    cut, whole = (
        read_tensors(tmp_path / name / "last.safetensors")[0] for name in ("cut", "whole")
    )
    assert all(torch.equal(cut[name], tensor) for name, tensor in whole.items())


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_what_the_first_process_refuses_all_refuse(on_disk: Callable[[str], Any], tmp_path: Path):
    root = on_disk("train").pairs[0].image.parents[2]
    script = tmp_path / "part.py"
    script.write_text(PART)
    with lock_run_dir(tmp_path / "run"):
        said = in_two_processes(script, root, tmp_path / "run")
    assert "TrainingError: Another run is at work in" in said
