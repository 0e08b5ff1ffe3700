"""Curves and pictures of a run for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

from galago.errors import TrainingError, require
from galago.evaluation.metrics import Scores
from galago.training.run_dir import Progress
from galago.training.sample_grid import read_panel

CURVES = ("loss", "rate", "images_per_s", "waited", "mean_iou", "pixel_accuracy")


class Board:
    """Writes one point per epoch; the horizontal axis is the number of epochs."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        """Open the event files in a folder.

        What a run that was cut off had written after the epoch it goes on from is hidden; what was
        never written is added.

        Raises:
            MissingDependencyError: TensorBoard is not installed.
        """
        require("tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self.folder, fresh = folder, not folder.exists()
        purge_step = None if fresh else progress.epoch + 1
        self.writer = SummaryWriter(str(folder), purge_step=purge_step)
        for row in progress.rows if fresh else ():
            self._add_curves(row)

    def add(self, row: Mapping[str, float], scores: Scores | None, panel: Path) -> None:
        """Add what an epoch has measured and, where it was validated, the IoU of each class and the
        panel of pictures.

        Raises:
            TrainingError: the files cannot be written.
        """
        try:
            self._add_curves(row)
            if scores:
                for name, iou in zip(scores.names, scores.iou, strict=True):
                    if iou is not None:
                        self.writer.add_scalar(f"iou/{name}", iou, int(row["epoch"]))
                picture = read_panel(panel)
                self.writer.add_image("panel", picture, int(row["epoch"]), dataformats="HWC")
            self.writer.flush()
        except OSError as error:
            raise TrainingError(
                f"Cannot write to {self.folder}: {error.strerror or error}. Free space, then "
                "--resume."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self.writer.close()

    def _add_curves(self, row: Mapping[str, float]) -> None:
        for name in CURVES:
            if name in row:
                self.writer.add_scalar(name, row[name], int(row["epoch"]))
