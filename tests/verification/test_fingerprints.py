"""The first layer that differs is named, and causes before the first layer."""

from collections.abc import Callable

import numpy as np
import pytest

from galago.verification.compare import TOLERANCES
from galago.verification.fingerprints import (
    LayerFingerprint,
    explain_input,
    first_divergence,
    late_input,
)

NAMES = (
    "input", "backbone.stages.2.1", "backbone.stages.3.1.attention", "backbone.stages.3.1", "head.inputs.0", "head.classify",
)  # fmt: skip
STAGES = [LayerFingerprint(name, (1, 1, 1), np.zeros((1, 1, 1), np.float32)) for name in NAMES]
NORM = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def errors(*values: float) -> dict[str, float]:
    return dict(zip(NAMES, values, strict=True))


@pytest.mark.parametrize(
    ("given", "first"),
    [
        (errors(1e-7, 2e-7, 3e-7, 3e-7, 3e-7, 3e-7), None),
        (
            errors(1e-7, 2e-7, 3e-7, 4e-4, 6e-4, 5e-3),
            "backbone.stages.3.1",
        ),  # below 1e-3, and yet the first
        (errors(1e-7, 2e-7, 1e-4, 4e-4, 6e-4, 5e-3), "backbone.stages.3.1.attention"),
        (
            errors(1e-7, 2e-7, 1.0, 3e-7, 3e-7, 5e-3),
            "head.classify",
        ),  # the attention was merged into what agrees
        (errors(1e-7, 2e-7, 3e-7, 3e-7, float("inf"), float("inf")), "head.inputs.0"),
    ],
)
def test_the_first_stage_that_differs_is_named(given: dict[str, float], first: str | None):
    assert first_divergence(STAGES, given, TOLERANCES["float32"].layer_error) == first


def test_where_all_stages_are_within_their_rounding_the_jump_is_named():
    given = errors(1e-7, 3e-4, 4e-4, 4.6e-3, 4.4e-3, 4.5e-3)  # float16
    assert (
        first_divergence(STAGES, given, TOLERANCES["float16"].layer_error) == "backbone.stages.3.1"
    )
    smooth = errors(1e-7, 6e-6, 1e-5, 2e-5, 3e-5, 4e-5)
    assert first_divergence(STAGES, smooth, TOLERANCES["float16"].layer_error) is None


def normalized(image: np.ndarray) -> np.ndarray:
    mean, std = (255 * np.array(values, np.float32).reshape(3, 1, 1) for values in NORM)
    return (image - mean) / std


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda image: normalized(normalized(image)), "the image is normalized twice"),
        (lambda image: image, "the image is not normalized"),
        (lambda image: normalized(image)[::-1], "the color channels are swapped (BGR for RGB)"),
        (lambda image: (image - 127.5) / 127.5, "mean or std of the normalization are others"),
        (lambda image: np.random.default_rng(1).normal(size=image.shape), None),
    ],
)
def test_what_happened_to_the_image_is_said(
    make: Callable[[np.ndarray], np.ndarray], cause: str | None
):
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 48)).astype(np.float32)
    stage = LayerFingerprint.of("input", normalized(image))
    assert explain_input(stage, [image, make(image)] if cause else [make(image)], NORM) == cause


def test_a_right_image_that_is_changed_later_is_seen():
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 48)).astype(np.float32)
    stage = LayerFingerprint.of("input", normalized(image))
    assert late_input(stage, [image, normalized(image)]) == []
    late = late_input(stage, [image, normalized(image), normalized(normalized(image))])
    assert len(late) == 1
    assert explain_input(stage, late, NORM) == "the image is normalized twice"
