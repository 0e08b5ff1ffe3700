import numpy as np
import pytest

from galago.data import Sample, select
from galago.data.sample import check_learnable
from galago.errors import ConfigError, DataError
from galago.labels import LabelSet


class Drives:
    """Four one-pixel samples of two drives; the red channel is the index."""

    label_set = LabelSet(("road",), ((128, 64, 128),))
    names = ("a_1", "a_2", "b_1", "b_2")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        image = np.full((1, 1, 3), index, np.uint8)
        return Sample(self.names[index], image, np.zeros((1, 1), np.uint8))


def test_select_leaves_one_drive_out():
    rest = select(Drives(), lambda name: not name.startswith("a"))
    assert rest.names == ["b_1", "b_2"]
    assert len(rest) == 2
    assert rest[0].name == "b_1"
    assert rest[1].image[0, 0, 0] == 3
    assert rest.label_set is Drives.label_set


def test_a_subset_of_a_subset_reads_the_right_samples():
    rest = select(select(Drives(), lambda name: name != "a_1"), lambda name: name.endswith("2"))
    assert [rest[index].name for index in range(len(rest))] == rest.names == ["a_2", "b_2"]


def test_a_loop_over_a_subset_ends():
    assert [sample.name for sample in select(Drives(), lambda name: name.endswith("1"))] == [
        "a_1",
        "b_1",
    ]


def test_a_filter_that_keeps_nothing_is_an_error_that_shows_names():
    with pytest.raises(ConfigError, match=r"None of the 4 samples was selected.*a_1, a_2, b_1"):
        select(Drives(), lambda name: name == "c")


def test_one_class_cannot_be_learned():
    with pytest.raises(DataError, match=r"one class, leaf, .*names: \[background, leaf\]"):
        check_learnable(LabelSet(("leaf",), ((0, 0, 0),)))
    check_learnable(LabelSet(("background", "leaf"), ((0, 0, 0), (1, 1, 1))))
