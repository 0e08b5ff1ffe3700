"""The history of a run: one row of measurements per epoch, and what follows from them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from galago.training.config import Config

DATA_BOUND_SHARE = 0.15  # of the time spent waiting for images, from which the user is told
# Columns of metrics.csv in galago 0.1, which saved states of its runs still hold.
OLD_COLUMNS = {"rate": "lr", "waited": "data_wait"}

SCORES = ("mean_iou", "top1")  # columns that decide which weights are the best

Rows = Sequence[Mapping[str, float]]


@dataclasses.dataclass
class History:
    """What a run has measured so far; part of its saved state.

    Attributes:
        epoch: epochs completed.
        best: best score on the validation split so far, 0 to 1.
        rows: one row of metrics.csv per epoch.
    """

    epoch: int = 0
    best: float = -1.0
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values for the saved state."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all values by those of a saved state."""
        self.epoch = int(state["epoch"])
        self.best = float(state["best"])
        self.rows = [
            {OLD_COLUMNS.get(name, name): value for name, value in row.items()}
            for row in state["rows"]
        ]


def best_epoch(rows: Rows) -> int | None:
    """Return the epoch of the best score, the first of equal ones; None before any validation."""
    scores = {row["epoch"]: row[name] for row in rows for name in SCORES if name in row}
    return int(max(scores, key=scores.__getitem__)) if scores else None


def is_out_of_patience(patience: int, rows: Rows) -> bool:
    """Return whether the last `patience` validations brought no better score than one before them.

    Args:
        patience: number of validations; 0 never ends a run.
        rows: one per epoch; those with a score count.
    """
    best = best_epoch(rows)
    if best is None or patience == 0:
        return False
    later = [row for row in rows if row["epoch"] > best and not row.keys().isdisjoint(SCORES)]
    return len(later) >= patience


def remarks(config: Config, rows: Rows) -> list[str]:
    """Return sentences for the user about a run that stopped early or waited for images.

    Args:
        config: the settings.
        rows: one per epoch.
    """
    sentences = []
    if is_out_of_patience(config.patience, rows) and len(rows) < config.epochs:
        validations = "1 validation" if config.patience == 1 else f"{config.patience} validations"
        sentences.append(
            f"Stopped after epoch {len(rows)} of {config.epochs}: {validations} brought no better "
            f"mean IoU than epoch {best_epoch(rows)}. To go on: --resume --set patience=0."
        )
    if (share := data_wait_share(rows)) > DATA_BOUND_SHARE:
        sentences.append(
            f"The network waited for photos {share:.0%} of the time. More --workers (now "
            f"{config.workers}), or --cache where photos are large, would make training faster."
        )
    return sentences


def data_wait_share(rows: Rows) -> float:
    """Return the mean share of an epoch in which the network waited for images, 0 to 1.

    The first of several epochs is left out, as workers start in it.
    """
    shares = [row["data_wait"] for row in rows[1:] or rows if "data_wait" in row]
    return sum(shares) / len(shares) if shares else 0.0
