"""When a run has stopped getting better."""

from collections.abc import Mapping, Sequence

from galago.training.config import TrainConfig


def best_epoch(rows: Sequence[Mapping[str, float]]) -> int | None:
    """Return the epoch of the best mean IoU, the first of equal ones.

    None before the first validation.
    """
    scored = [row for row in rows if "mean_iou" in row]
    return int(max(scored, key=lambda row: row["mean_iou"])["epoch"]) if scored else None


def is_out_of_patience(config: TrainConfig, rows: Sequence[Mapping[str, float]]) -> bool:
    """Tell whether the last `config.patience` validations brought nothing better than one before
    them.

    Args:
        config: `patience` 0 never ends.
        rows: one per epoch; those with a `mean_iou` count.
    """
    best = best_epoch(rows)
    return best is not None and 0 < config.patience <= sum(
        "mean_iou" in row and row["epoch"] > best for row in rows
    )


DATA_BOUND_SHARE = (
    0.15  # share of the time spent waiting for photos from which on it is worth a word
)


def remarks(config: TrainConfig, rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Return sentences about a run for the one who started it; none where all went as planned.

    Args:
        config: the settings.
        rows: what was measured, one per epoch.
    """
    said = []
    if is_out_of_patience(config, rows) and len(rows) < config.epochs:
        validations = "1 validation" if config.patience == 1 else f"{config.patience} validations"
        said.append(
            f"Stopped after epoch {len(rows)} of {config.epochs}: {validations} brought no better "
            "mean IoU "
            f"than epoch {best_epoch(rows)}. To go on: --resume --set patience=0."
        )
    if (share := waited_share(rows)) > DATA_BOUND_SHARE:
        said.append(
            f"The network waited for photos {share:.0%} of the time. "
            f"More --workers (now {config.workers}), or --cache where photos are large, would make "
            "training faster."
        )
    return said


def waited_share(rows: Sequence[Mapping[str, float]]) -> float:
    """Return the mean share of an epoch in which the network waited for photos, 0 to 1.

    The first of several epochs does not count: workers start in it.
    """
    shares = [row["waited"] for row in rows[1:] or rows if "waited" in row]
    return sum(shares) / len(shares) if shares else 0.0
