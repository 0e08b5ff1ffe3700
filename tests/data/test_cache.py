from pathlib import Path

import numpy as np
import pytest

from galago.data.cache import CachedDataset
from galago.scenes.dataset import Scenes

SCENES = Scenes(2, first_seed=5, size=(64, 96))


class Countdown:
    """Scenes that can be read only so often."""

    def __init__(self, reads: int) -> None:
        self.label_set, self.names, self.reads = SCENES.label_set, SCENES.names, reads

    def __len__(self) -> int:
        return len(SCENES)

    def __getitem__(self, index: int):
        self.reads -= 1
        assert self.reads >= 0, "read again"
        return SCENES[index]


def test_each_sample_is_read_once_and_stays_the_same(tmp_path: Path):
    cached = CachedDataset(Countdown(2), tmp_path / "cache")
    for _ in range(3):
        for index in range(2):
            sample, expected = cached[index], SCENES[index]
            assert sample.name == expected.name
            assert np.array_equal(sample.image, expected.image)
            assert np.array_equal(sample.labels, expected.labels)
    assert (len(cached), cached.names, cached.label_set) == (2, SCENES.names, SCENES.label_set)


def test_another_process_finds_what_was_read(tmp_path: Path):
    CachedDataset(Countdown(1), tmp_path)[1]
    assert np.array_equal(CachedDataset(Countdown(0), tmp_path)[1].labels, SCENES[1].labels)


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    cached = CachedDataset(Countdown(2), tmp_path / "file")
    for _ in range(2):
        assert np.array_equal(cached[0].image, SCENES[0].image)


def test_an_index_beyond_the_end_is_the_data_sets_error(tmp_path: Path):
    with pytest.raises(IndexError):
        CachedDataset(SCENES, tmp_path)[2]
