"""What becomes of a run when the disk is full: one line, and a state from which it goes on."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from galago.errors import GalagoError
from galago.models.checkpoint import read_tensors
from galago.training.config import TrainConfig
from galago.training.train import train

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX can"),
]

SETTINGS = TrainConfig(
    epochs=4,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    validate_every=2,
    warmup_epochs=0.5,
)
# In a process of its own: these writers are destroyed at a time of Python's choosing, and may fail
# again.
RUN_WITH_LIMIT = """
import resource, sys
from pathlib import Path
import torch
from galago.data import open_dataset
from galago.errors import GalagoError
from galago.training.config import TrainConfig
from galago.training.train import train

def fill(row):
    if row["epoch"] == int(sys.argv[4]):
        limit = int(sys.argv[5])  # bytes a file may have
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

torch.set_num_threads(1)
data, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
try:
    splits = open_dataset(data, "train"), open_dataset(data, "val")
    train(TrainConfig(**settings), *splits, out, on_progress=fill)
except GalagoError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("epoch", "limit", "words"),
    [
        (3, 10, r"Cannot write .*/metrics\.csv: File too large\. Free space"),
        (
            4,
            100_000,
            r"Cannot write the checkpoint .*/last\.safetensors: File too large\. Free space",
        ),
    ],
)
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_space(
    on_disk: Callable[[str], Any], tmp_path: Path, epoch: int, limit: int, words: str
):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(row: dict[str, float]) -> None:
        if row["epoch"] == epoch:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # bytes a file may have

    try:
        with pytest.raises(GalagoError, match=words):
            train(SETTINGS, on_disk("train"), on_disk("val"), tmp_path, on_progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    check_and_go_on(on_disk, tmp_path, SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tensorboard", "limit", "words"),
    [
        (False, 100_000, "Cannot save the state of the run in {out}: "),
        (
            True,
            2_000,
            "Cannot write to {out}/tensorboard: File too large. Free space, then --resume.",
        ),
    ],
)
def test_writers_that_outlive_their_error_end_in_one_line_too(
    on_disk: Callable[[str], Any], tmp_path: Path, tensorboard: bool, limit: int, words: str
):
    if tensorboard:
        pytest.importorskip("tensorboard")
    settings, out = replace(SETTINGS, tensorboard=tensorboard), tmp_path / "run"
    root = on_disk("train").pairs[0].image.parents[2]
    command = [
        sys.executable,
        "-c",
        RUN_WITH_LIMIT,
        str(root),
        str(out),
        repr(vars(settings)),
        "3",
        str(limit),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(words.format(out=out)), done.stderr
    assert done.stdout.count("\n") == 1
    check_and_go_on(on_disk, out, settings)


def check_and_go_on(on_disk: Callable[[str], Any], out: Path, settings: TrainConfig) -> None:
    """Nothing half-written lies there, the older weights are whole, and the run can be ended."""
    assert not [
        path.name
        for path in out.iterdir()
        if path.name.startswith(".") or path.name == "state.partial"
    ]
    assert read_tensors(out / "last.safetensors")[1]["epoch"] == "2"
    assert train(settings, on_disk("train"), on_disk("val"), out, resume=True).epoch == 4
