"""Labeled images: one protocol, several layouts on disk; needs no torch."""

from pathlib import Path

from galago.data.camvid import is_camvid, open_camvid
from galago.data.folder import EXAMPLE_YAML, open_folder
from galago.data.sample import Dataset, Sample, Subset, select, subsample_evenly
from galago.errors import DataError

__all__ = ["Dataset", "Sample", "Subset", "open_dataset", "select", "subsample_evenly"]

YAML_NAMES = ("data.yaml", "dataset.yaml")  # looked for in a folder, in this order


def open_dataset(path: str | Path, split: str) -> Dataset:
    """Open one split of a data set.

    Args:
        path: a YAML file, a folder with `data.yaml` or `dataset.yaml` in it, or a folder in
            CamVid's layout.
        split: train, val or test.
    Raises:
        ConfigError: the name of the split is unknown.
        DataError: nothing is there, the layout is unknown, the split is empty, or files are
            missing.
    """
    found = locate(path)
    return open_camvid(found, split) if found.is_dir() else open_folder(found, split)


def locate(path: str | Path) -> Path:
    """Return what describes a data set: its YAML file, or the folder of CamVid's lists.

    Raises:
        DataError: nothing is there, or the layout is unknown.
    """
    root = Path(path)
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError(f"There is no data set at {root}. Give a folder or a YAML file.")
    for name in YAML_NAMES:
        if (root / name).is_file():
            return root / name
    if is_camvid(root):
        return root
    raise DataError(
        f"{root} is no known data set: it has neither {' nor '.join(YAML_NAMES)} nor CamVid's "
        "train.txt. "
        "Put photos into images/train and images/val, masks of the same names into masks/train "
        "and masks/val, "
        f"and this into {root / YAML_NAMES[0]}:\n\n{EXAMPLE_YAML}"
    )
