"""When a run has stopped getting better."""

from collections.abc import Mapping, Sequence

from galago.training.config import TrainConfig


def best_epoch(rows: Sequence[Mapping[str, float]]) -> int | None:
    """Return the epoch of the best mean IoU, the first of equal ones; None before the first validation."""
    scored = [row for row in rows if "mean_iou" in row]
    return int(max(scored, key=lambda row: row["mean_iou"])["epoch"]) if scored else None


def is_out_of_patience(config: TrainConfig, rows: Sequence[Mapping[str, float]]) -> bool:
    """Tell whether the last `config.patience` validations brought nothing better than one before them.

    Args:
        config: `patience` 0 never ends.
        rows: one per epoch; those with a `mean_iou` count.
    """
    best = best_epoch(rows)
    return best is not None and 0 < config.patience <= sum("mean_iou" in row and row["epoch"] > best for row in rows)
