"""CamVid in the layout of the SegNet tutorial: `train.txt`, `val.txt`, `test.txt` with one `image
mask` pair a line.
"""

from pathlib import Path

from galago._core.shown import shown
from galago._core.text_files import read_text
from galago.data.image_mask_dataset import SPLITS, ImageMaskDataset, Pair, check_pairs, check_split
from galago.errors import DataError
from galago.labels import CAMVID, IGNORE_ID

UNLABELED_ID = 11  # in the mask files
TRAIN_IDS = {index: index for index in range(len(CAMVID))} | {
    UNLABELED_ID: IGNORE_ID,
    IGNORE_ID: IGNORE_ID,
}
# The tutorial's own lists start every path with this folder; copies of the data set drop it.
TUTORIAL_ROOT = "/SegNet/CamVid/"


def is_camvid(root: Path) -> bool:
    """Tell whether a folder holds the lists of CamVid."""
    return any((root / f"{split}.txt").is_file() for split in SPLITS)


def open_camvid(root: Path, split: str) -> ImageMaskDataset:
    """Open one split; names of samples are file names, whose part before `_` is the drive.

    Args:
        root: folder with the lists; their paths are relative to it.
        split: train, val or test.
    Raises:
        ConfigError: the name of the split is unknown.
        DataError: the list is missing, empty or not of the form `image mask`, or a file that it
            names is missing.
    """
    check_split(split)
    list_file = root / f"{split}.txt"
    if not list_file.is_file():
        there = ", ".join(name for name in SPLITS if (root / f"{name}.txt").is_file()) or "none"
        raise DataError(
            f"{root} has no {list_file.name}, so no split {split}. Splits that are there: {there}."
        )
    pairs = [read_line(root, line, where) for where, line in lines_of(list_file)]
    return ImageMaskDataset(CAMVID, check_pairs(pairs, str(list_file)), TRAIN_IDS)


def lines_of(list_file: Path) -> list[tuple[str, str]]:
    """Read the lines of a list that are not empty, each after its place in words.

    Raises:
        DataError: the file is not text.
    """
    try:
        lines = read_text(list_file).split("\n")
    except OSError as error:
        raise DataError(f"Cannot read {list_file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    return [
        (f"{list_file}, line {number}", line)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def read_line(root: Path, line: str, where: str) -> Pair:
    """Read one line of a list.

    Raises:
        DataError: it is not of the form `image mask`.
    """
    paths = line.split()
    if len(paths) != 2:
        raise DataError(
            f"{where}: expected `image mask`, two paths without spaces, got {shown(line.strip())}."
        )
    image, mask = (root / path.removeprefix(TUTORIAL_ROOT) for path in paths)
    return Pair(image.stem, image, mask)
