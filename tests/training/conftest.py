"""Tiny data and settings for training tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import Dataset, Sample, open_dataset
from galago.labels import LabelSet

LABELS = LabelSet(("wall", "door"), ((0, 0, 0), (255, 255, 255)))


@dataclass(frozen=True)
class Drawn:
    """A data set in memory."""

    samples: tuple[Sample, ...]
    label_set: LabelSet = LABELS

    @property
    def names(self) -> list[str]:
        return [sample.name for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def draw(seed: int, size: tuple[int, int] = (72, 96)) -> Sample:
    """Draw a blue wall with a red door to its right."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(size, np.uint8)
    labels[:, rng.integers(size[1] // 4, 3 * size[1] // 4) :] = 1
    colors = np.array([(40, 90, 160), (200, 60, 60)], np.uint8)[labels]
    return Sample(
        f"photo{seed}", colors + rng.integers(0, 40, colors.shape, dtype=np.uint8), labels
    )


@pytest.fixture(scope="module", autouse=True)
def init_worker() -> Iterator[None]:
    """Compute on one thread: quick enough for tiny photos, and the sums have one order."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_precision_of_an_earlier_test() -> None:
    """Forget the precision that accelerate keeps for a whole process, whatever ran in it before."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()


@pytest.fixture(scope="session")
def drawn() -> Callable[..., Drawn]:
    """Return a function that draws a data set of so many photos."""

    def draw_set(count: int, first: int = 0, size: tuple[int, int] = (72, 96)) -> Drawn:
        return Drawn(tuple(draw(first + index, size) for index in range(count)))

    return draw_set


@pytest.fixture(scope="session")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Dataset]:
    """Return a function that opens a split of a data set in files: 4 photos for training, 2 for
    validation.
    """
    root = tmp_path_factory.mktemp("data")
    for split, seeds in (("train", range(4)), ("val", range(4, 6))):
        for seed in seeds:
            write_sample(root, split, draw(seed))
    (root / "data.yaml").write_text("names: [wall, door]")
    return lambda split: open_dataset(root, split)


def write_sample(root: Path, split: str, sample: Sample) -> None:
    for kind, pixels in (("images", sample.image[..., ::-1]), ("masks", sample.labels)):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / kind / split / f"{sample.name}.png"), pixels)
