from dataclasses import replace

import numpy as np
import pytest

from galago.errors import ConfigError, ImageError, ModelError
from galago.runtime.labelmap.full_resolution import FullResolutionLogits, top_probabilities
from galago.runtime.result import Logits
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec


class Means:
    """An engine whose logits are the colors of 8 x 8 pixels, averaged.

    Writes every result into the same memory.
    """

    name = "means"

    def __init__(self, input_size: tuple[int, int] | None = None) -> None:
        self.input_size = input_size
        self.seen: list[tuple[int, ...]] = []

    def run(self, image: np.ndarray) -> np.ndarray:
        self.seen.append(image.shape[1:3])
        _, height, width, _ = image.shape
        blocks = image[0].reshape(height // 8, 8, width // 8, 8, 3).astype(np.float32)
        return blocks.mean(axis=(1, 3)).transpose(2, 0, 1)[None]


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)


@pytest.mark.parametrize("upsampling", ["bilinear", "bicubic"])
def test_the_largest_logit_is_what_the_segmenter_says(
    tiny_spec: ModelSpec, photo: np.ndarray, upsampling: str
):
    segmenter = Segmenter(Means(), replace(tiny_spec, upsampling=upsampling))
    logits = FullResolutionLogits(segmenter)(photo, (70, 100))
    assert logits.shape == (3, 70, 100)
    assert (
        logits.argmax(axis=0) == segmenter(photo).labels
    ).mean() > 0.999  # rounding may decide a tie


def test_images_are_padded_and_not_resized(tiny_spec: ModelSpec, photo: np.ndarray):
    engine = Means()
    FullResolutionLogits(Segmenter(engine, replace(tiny_spec, resize="short_side", short_side=32)))(
        photo, (140, 200)
    )
    assert engine.seen == [(96, 128)]


def test_a_file_of_one_size_takes_smaller_images_and_no_larger_ones(
    tiny_spec: ModelSpec, photo: np.ndarray
):
    engine = Means(input_size=(96, 96))
    logits = FullResolutionLogits(Segmenter(engine, tiny_spec))
    logits(photo[:, :60], (70, 60))
    assert engine.seen == [(96, 96)]
    with pytest.raises(
        ImageError,
        match=r"takes 96 x 96 pixels and nothing larger, got 70 x 100\. .* --slide 96 96",
    ):
        logits(photo, (70, 100))


def test_a_model_that_gives_labels_is_an_error(tiny_spec: ModelSpec):
    with pytest.raises(ConfigError, match="Averaging over several views of a photo needs logits"):
        FullResolutionLogits(Segmenter(Means(), replace(tiny_spec, output="labels")))


def test_a_network_of_other_classes_is_an_error(tiny_spec: ModelSpec, photo: np.ndarray):
    spec = replace(tiny_spec, classes=("red", "green"), palette=((255, 0, 0), (0, 255, 0)))
    with pytest.raises(ModelError, match="gives 3 classes, but its description names 2"):
        FullResolutionLogits(Segmenter(Means(), spec))(photo, (70, 100))


def test_the_top_probability_is_the_softmax_of_grown_logits():
    logits = Logits(np.log(np.array([[[3, 1]], [[1, 3]]], np.float32)), (1 / 2, 1 / 2))
    top = top_probabilities(logits, (2, 4), "bilinear")
    # the logits of class 0 are log 3, 3/4 log 3, 1/4 log 3, 0, those of class 1 the other way round
    edge, middle = 3 / 4, 3**0.75 / (3**0.75 + 3**0.25)
    np.testing.assert_allclose(top, [[edge, middle, middle, edge]] * 2, rtol=1e-6)
