"""Curves and sample images of a run for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

from galago.errors import TrainingError, require
from galago.evaluation.metrics import Scores
from galago.training.history import History
from galago.training.sample_grid import read_grid

CURVES = ("loss", "lr", "images_per_s", "data_wait", "mean_iou", "pixel_accuracy")


class TensorBoardWriter:
    """Writes one point per epoch; the horizontal axis is the number of epochs."""

    def __init__(self, folder: Path, history: History) -> None:
        """Open the event files in a folder.

        Points after the epoch from which a run is resumed are hidden; missing ones are added.

        Raises:
            MissingDependencyError: TensorBoard is not installed.
        """
        require("tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        is_new = not folder.exists()
        purge_step = None if is_new else history.epoch + 1
        self._folder = folder
        self._writer = SummaryWriter(str(folder), purge_step=purge_step)
        for row in history.rows if is_new else ():
            self._add_curves(row)

    def add(self, row: Mapping[str, float], scores: Scores | None, grid: Path) -> None:
        """Add the measurements of an epoch and, if it was validated, class IoU and sample images.

        Args:
            row: of metrics.csv.
            scores: of the validation, or None.
            grid: file of the sample images.
        Raises:
            TrainingError: the files cannot be written.
        """
        try:
            self._add_curves(row)
            if scores:
                for name, iou in zip(scores.names, scores.iou, strict=True):
                    if iou is not None:
                        self._writer.add_scalar(f"iou/{name}", iou, int(row["epoch"]))
                image = read_grid(grid)
                self._writer.add_image("panel", image, int(row["epoch"]), dataformats="HWC")
            self._writer.flush()
        except OSError as error:
            raise TrainingError(
                f"Cannot write to {self._folder}: {error.strerror or error}. Free space, then "
                "--resume."
            ) from error

    def close(self) -> None:
        """Close the event files."""
        self._writer.close()

    def _add_curves(self, row: Mapping[str, float]) -> None:
        for name in CURVES:
            if name in row:
                self._writer.add_scalar(name, row[name], int(row["epoch"]))
