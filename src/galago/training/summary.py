"""What to say of a run in a few words: why it ended, what held it up."""

from collections.abc import Mapping, Sequence

from galago.training.config import TrainConfig
from galago.training.patience import best_epoch, is_out_of_patience

STARVED = 0.15  # share of the time spent waiting for photos from which on it is worth a word


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
            f"Stopped after epoch {len(rows)} of {config.epochs}: {validations} brought no better mean IoU "
            f"than epoch {best_epoch(rows)}. To go on: --resume --set patience=0."
        )
    if (share := waited_share(rows)) > STARVED:
        said.append(
            f"The network waited for photos {share:.0%} of the time. "
            f"More --workers (now {config.workers}), or --cache where photos are large, would make training faster."
        )
    return said


def waited_share(rows: Sequence[Mapping[str, float]]) -> float:
    """Return the mean share of an epoch in which the network waited for photos, 0 to 1.

    The first of several epochs does not count: workers start in it.
    """
    shares = [row["waited"] for row in rows[1:] or rows if "waited" in row]
    return sum(shares) / len(shares) if shares else 0.0
