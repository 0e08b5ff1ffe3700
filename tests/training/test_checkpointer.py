import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.evaluation.evaluate import evaluate
from galago.evaluation.metrics import Scores
from galago.export.reference import load_reference
from galago.models.checkpoint import read_metadata
from galago.training.checkpointer import deciding_score
from galago.training.config import TrainConfig
from galago.training.train import train

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("short_side", [None, 64])
def test_the_scores_of_a_run_are_those_of_its_checkpoint(
    drawn: Callable[..., Dataset], tmp_path: Path, short_side: int | None
):
    config = TrainConfig(
        epochs=1,
        batch_size=2,
        crop_size=(64, 64),
        short_side=short_side,
        workers=0,
        precision="bfloat16",
    )
    val_set, other = drawn(2, first=4, size=(100, 140)), drawn(1, first=9)
    train(config, drawn(2), val_set, tmp_path, extra_val_sets={"other": other})
    segmenter = load_reference(tmp_path / "last.safetensors")
    metadata = read_metadata(tmp_path / "last.safetensors")
    recorded = {"main": json.loads(metadata["scores"]), **json.loads(metadata["other_scores"])}
    for name, dataset in (("main", val_set), ("other", other)):
        scores = evaluate(lambda image: segmenter(image).labels, dataset)
        assert recorded[name]["mean_iou"] == scores.mean_iou
        assert recorded[name]["pixel_accuracy"] == scores.pixel_accuracy


def test_best_by_decides_between_the_main_set_and_the_mean(drawn: Callable[..., Dataset]):
    labels = drawn(1).label_set
    perfect = Scores.of(labels, np.array([[4, 0], [0, 4]]))
    half = Scores.of(labels, np.array([[4, 0], [4, 0]]))  # IoU 4/8 and 0
    assert deciding_score(TrainConfig(best_by="main"), half, {"other": perfect}) == 0.25
    assert deciding_score(TrainConfig(best_by="mean"), half, {"other": perfect}) == 0.625
