import numpy as np
import pytest

from galago.errors import ConfigError
from galago.runtime.segmenter import Segmenter
from galago.runtime.smoothing import Smoother
from galago.spec import ModelSpec


class Flicker:
    """A fake engine: its logits favor the classes of a list, one a frame, by 1."""

    name = "flicker"
    input_size = None

    def __init__(self, classes: list[int]) -> None:
        self.classes = iter(classes)
        self.logits = np.zeros((1, 3, 4, 4), np.float32)

    def run(self, image: np.ndarray) -> np.ndarray:
        self.logits[:] = 0  # valid until the next call
        self.logits[:, next(self.classes)] = 1
        return self.logits


def labels_of(classes: list[int], spec: ModelSpec, smoother: Smoother | None) -> list[int]:
    segmenter, photo = Segmenter(Flicker(classes), spec), np.zeros((32, 32, 3), np.uint8)
    maps = [segmenter(photo, smoother=smoother).labels for _ in classes]
    assert all((labels == labels[0, 0]).all() for labels in maps)
    return [int(labels[0, 0]) for labels in maps]


def test_a_constant_film_stays_as_it_is():
    smoother, logits = Smoother(0.75), np.full((2, 1, 1), 3.0, np.float32)
    for _ in range(5):
        np.testing.assert_array_equal(smoother(logits), logits)


def test_an_alternating_film_is_averaged():
    smoother = Smoother(0.5)
    seen = [
        float(smoother(np.full((1, 1, 1), value, np.float32))[0, 0, 0]) for value in (1, 0, 1, 0)
    ]
    assert seen == [1, 0.5, 0.75, 0.375]  # half of what was, half of what comes


def test_strength_0_changes_nothing():
    smoother = Smoother(0)
    for value in (1.0, 5.0):
        assert smoother(np.full((1, 1, 1), value, np.float32)).item() == value


def test_a_frame_of_another_size_starts_anew():
    smoother = Smoother(0.9)
    smoother(np.ones((1, 2, 2), np.float32))
    np.testing.assert_array_equal(smoother(np.zeros((1, 3, 3), np.float32)), np.zeros((1, 3, 3)))


@pytest.mark.parametrize("strength", [-0.1, 1, 2])
def test_a_strength_outside_0_to_1_is_refused(strength: float):
    with pytest.raises(ConfigError, match=r"at least 0 and below 1, got"):
        Smoother(strength)


def test_a_segmenter_without_smoothing_follows_every_frame(tiny_spec: ModelSpec):
    assert labels_of([0, 1, 0, 1], tiny_spec, None) == [0, 1, 0, 1]


def test_a_single_wrong_frame_is_smoothed_away_and_a_lasting_change_is_not(tiny_spec: ModelSpec):
    # weight of class 1 with strength 0.6: 0.4 after the first frame of it, then 0.24; 0.4, 0.64
    # when it stays
    assert labels_of([0, 0, 1, 0, 0], tiny_spec, Smoother(0.6)) == [0, 0, 0, 0, 0]
    assert labels_of([0, 0, 1, 1, 1], tiny_spec, Smoother(0.6)) == [0, 0, 0, 1, 1]
