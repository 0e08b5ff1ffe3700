"""Validation of the moving average, and the files that it leaves: checkpoints, scores, report."""

import json
from collections.abc import Mapping
from typing import Any

import torch

from galago.data.sample import Dataset
from galago.evaluation.evaluate import evaluate
from galago.evaluation.metrics import Scores
from galago.models.checkpoint import save_checkpoint
from galago.models.efficientvit import build_model
from galago.models.inference import TorchEngine
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec
from galago.training.config import TrainConfig
from galago.training.history import History
from galago.training.report import REPORT, draw_page
from galago.training.run_dir import write_metrics, write_text
from galago.training.sample_grid import write_grid
from galago.training.tensorboard import TensorBoardWriter
from galago.training.train_state import TrainState


class SegmentationCheckpointer:
    """Validates the moving average and keeps its last and its best weights.

    Images are labeled by a Segmenter at their own size, so the scores are those that `galago val`
    gives for the checkpoint.
    """

    def __init__(
        self,
        config: TrainConfig,
        state: TrainState,
        val_set: Dataset,
        extra_val_sets: Mapping[str, Dataset],
    ) -> None:
        self._config = config
        self._state = state
        self._out = state.out
        self._val_set = val_set
        self._extra_val_sets = extra_val_sets
        self._tensorboard = None
        if config.tensorboard:
            self._tensorboard = TensorBoardWriter(state.out / "tensorboard", state.history)
        labels = val_set.label_set
        self._spec = ModelSpec(
            name=state.out.resolve().name,
            variant=config.variant,
            classes=labels.names,
            palette=labels.palette,
            resize="short_side" if config.short_side else "keep",
            short_side=config.short_side,
            mean=config.mean,
            std=config.std,
        )
        self._metadata = {
            "variant": config.variant,
            "num_classes": str(len(labels)),
            "head": config.head or f"{config.variant}-cityscapes",
            "spec": self._spec.to_json(),
            "run": (state.out / "run.json").read_text(encoding="utf-8"),
        }
        with torch.random.fork_rng(devices=[]):  # its random weights are replaced at once
            self._network = build_model(config.variant, len(labels), head=config.head)

    def __call__(self, history: History, *, validates: bool) -> None:
        """Write metrics and curves of the newest epoch.

        If it is validated, add the scores to its row, and write checkpoints, images and report.
        """
        scores = self._validate(history) if validates else None
        write_metrics(self._out, history)
        if self._tensorboard:
            self._tensorboard.add(history.rows[-1], scores, self._out / "panel.jpg")
        if validates:
            page = draw_page(self._out, self._config, history.rows)
            write_text(self._out / REPORT, page)

    def close(self) -> None:
        """Close the event files."""
        if self._tensorboard:
            self._tensorboard.close()

    def segmenter(self) -> Segmenter:
        """Return the moving average as the Segmenter that a loaded checkpoint would be."""
        self._network.load_state_dict(self._state.ema.module.state_dict())
        network = self._network.to(self._state.accelerator.device)
        return Segmenter(TorchEngine(network, self._spec), self._spec)

    def _validate(self, history: History) -> Scores:
        """Return the scores, after writing them into the history and the checkpoints."""
        segmenter = self.segmenter()
        scores = evaluate(lambda image: segmenter(image).labels, self._val_set)
        extra_scores = {
            name: evaluate(lambda image: segmenter(image).labels, dataset)
            for name, dataset in self._extra_val_sets.items()
        }
        mean_iou = deciding_score(self._config, scores, extra_scores)
        row = history.rows[-1]
        row["mean_iou"] = mean_iou
        row["pixel_accuracy"] = scores.pixel_accuracy
        if extra_scores:
            row["mean_iou main"] = scores.mean_iou
            row |= {f"mean_iou {name}": extra.mean_iou for name, extra in extra_scores.items()}
        metadata = self._metadata | {
            "epoch": str(history.epoch),
            "scores": json.dumps(_without_confusion(scores)),
        }
        if extra_scores:
            by_set = {name: _without_confusion(extra) for name, extra in extra_scores.items()}
            metadata["other_scores"] = json.dumps(by_set)
        network = self._state.ema.module
        save_checkpoint(self._out / "last.safetensors", network, metadata)
        if mean_iou > history.best:
            history.best = mean_iou
            save_checkpoint(self._out / "best.safetensors", network, metadata)
        write_grid(self._out / "panel.jpg", lambda image: segmenter(image).labels, self._val_set)
        return scores


def deciding_score(config: TrainConfig, scores: Scores, extra: Mapping[str, Scores]) -> float:
    """Return the mean IoU that decides which weights are the best.

    It is that of the main validation set, or the mean over all sets, as `config.best_by` says.
    """
    if config.best_by == "main":
        return scores.mean_iou
    return sum(found.mean_iou for found in (scores, *extra.values())) / (1 + len(extra))


def _without_confusion(scores: Scores) -> dict[str, Any]:
    """Return scores as plain values for JSON, without the confusion matrix."""
    summary = scores.summary()
    del summary["confusion"]
    return summary
