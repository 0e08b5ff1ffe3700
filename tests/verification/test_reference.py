"""The trained network in a file's place gives what a right file gives, whatever that file costs by
its size and output.
"""

from dataclasses import replace

import numpy as np
import pytest

from galago.runtime.labelmap.label_map import label_map
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec
from galago.verification.reference import reference_for


class Means:
    """A network of three classes whose logits are the means of red, green and blue over 8 x 8
    pixels.
    """

    name = "means"

    def __init__(
        self, *, output: str = "logits", input_size: tuple[int, int] | None = None
    ) -> None:
        self.output = output
        self.input_size = input_size

    def run(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[1:3]
        assert self.input_size in (None, (height, width))
        cells = image[0].reshape(height // 8, 8, width // 8, 8, 3).astype(np.float32)
        logits = np.ascontiguousarray(cells.mean(axis=(1, 3)).transpose(2, 0, 1))
        return (
            logits[None]
            if self.output == "logits"
            else label_map(logits, (height, width), (1 / 8, 1 / 8))[None]
        )


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (100, 130, 3), np.uint8)


@pytest.mark.parametrize("output", ["logits", "labels"])
@pytest.mark.parametrize(
    ("rules", "one_size"),
    [
        ({"resize": "keep"}, None),
        ({"resize": "short_side", "short_side": 64}, None),
        (
            {"resize": "short_side", "short_side": 64},
            (32, 64),
        ),  # a .tflite file in a folder whose other files take any size
        ({"resize": "stretch", "input_size": (64, 96)}, None),
    ],
)
def test_the_twin_of_a_right_file_gives_its_labels(
    tiny_spec: ModelSpec,
    image: np.ndarray,
    output: str,
    rules: dict[str, object],
    one_size: tuple[int, int] | None,
):
    file = Segmenter(
        Means(output=output, input_size=one_size), replace(tiny_spec, output=output, **rules)
    )
    trained = Segmenter(Means(), replace(tiny_spec, resize="keep"))
    np.testing.assert_array_equal(reference_for(file, trained)(image).labels, file(image).labels)
    if rules["resize"] != "keep":  # the size alone changes labels, which is no fault of the file
        assert (trained(image).labels != file(image).labels).mean() > 0.05


def test_the_twin_does_not_believe_the_file_where_training_decides(
    tiny_spec: ModelSpec, image: np.ndarray
):
    trained = Segmenter(Means(), tiny_spec)
    file = Segmenter(Means(), replace(tiny_spec, upsampling="bicubic", mean=(0.1, 0.1, 0.1)))
    twin = reference_for(file, trained)
    assert (twin.spec.upsampling, twin.spec.mean) == ("bilinear", tiny_spec.mean)
