"""Images through everything that a host does: resized, padded, run, upsampled; and images that
provoke divisions by zero.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from galago.errors import ModelError
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec
from galago.verification.compare import compare_labels
from galago.verification.reference import reference_for
from galago.verification.report import HostCheck

SEED = 11  # of the synthetic scenes and the noise
PLAIN_SIZE = (96, 160)  # (height, width) of images of one color, where a file takes any size
COLORS = {"black": (0, 0, 0), "gray": (128, 128, 128), "white": (255, 255, 255), "red": (255, 0, 0)}
# odd sides, upright and larger, small: each is resized or padded by a rule
SCENE_SIZES = ((333, 501), (640, 256), (90, 160))
# least share of equal labels: an upsampled image has more near ties between classes than a golden
# one, and one wrong pixel of the network is many of the image
LEAST_EQUAL = {"float32": 0.999, "float16": 0.99, "bfloat16": 0.95, "int8": 0.85}


def plain_images(size: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield images of one color and one of noise, (H, W, 3) uint8 RGB, with a name for each.

    Without structure in the image, all queries of an attention can be zero, so that only its eps
    keeps the quotient finite.
    """
    for name, color in COLORS.items():
        yield name, np.full((*size, 3), color, np.uint8)
    yield "noise", np.random.default_rng(SEED).integers(0, 256, (*size, 3), np.uint8)


def check_host(
    segmenter: Segmenter, trained: Segmenter | None, exported_spec: ModelSpec, precision: str
) -> Iterator[HostCheck]:
    """Yield checks on images of one color, of noise, and of sizes that are resized and padded.

    Args:
        segmenter: the file in its engine, with the description that a host reads.
        trained: the network of the checkpoint; None: only checked for values that are not finite.
        exported_spec: the description that export recorded, with the right resize rule.
        precision: of the file, which decides how many labels may differ.
    Raises:
        ModelError: the engine cannot run the file on an image.
    """
    for name, image in plain_images(segmenter.input_size or PLAIN_SIZE):
        failures = _not_finite(segmenter, image)
        yield HostCheck(image=f"{name} {image.shape[0]} x {image.shape[1]}", failures=failures)
    reference = expected_host(segmenter, trained, exported_spec) if trained else None
    for size in SCENE_SIZES:
        image = render_scene(SEED, size).image
        failures = _not_finite(segmenter, image)
        if not failures:
            failures = _label_failures(segmenter, reference, image, LEAST_EQUAL[precision])
        yield HostCheck(
            image=f"scene {size[0]} x {size[1]}",
            compared=reference is not None,
            failures=failures,
        )


def expected_host(segmenter: Segmenter, trained: Segmenter, exported_spec: ModelSpec) -> Segmenter:
    """Return the trained network in the file's place, with the resize rule that export recorded."""
    rules = replace(
        segmenter.spec,
        resize=exported_spec.resize,
        short_side=exported_spec.short_side,
        input_size=exported_spec.input_size,
        output=exported_spec.output,
    )
    return reference_for(Segmenter(segmenter.engine, rules), trained)


def _not_finite(segmenter: Segmenter, image: np.ndarray) -> list[str]:
    """Return how many logits for an image are not finite, as a sentence; labels hide that."""
    if segmenter.spec.output != "logits":
        return []
    count = int((~np.isfinite(segmenter.logits(image))).sum())
    return (
        [f"{count:,} logits are not finite, after a division by zero or an overflow"]
        if count
        else []
    )


def _label_failures(
    segmenter: Segmenter, reference: Segmenter | None, image: np.ndarray, least: float
) -> list[str]:
    """Return whether too few labels are those of the trained network, as a sentence.

    Raises:
        ModelError: the label map has another size than the image.
    """
    labels = segmenter(image).labels
    if labels.shape != image.shape[:2]:
        raise ModelError(f"gives labels of shape {labels.shape} for an image of {image.shape[:2]}")
    if reference is None:
        return []
    equal = compare_labels(reference(image).labels, labels)["labels"]
    if equal is None or equal >= least:
        return []
    return [f"{equal:.3%} of labels are equal (at least {least:.2%}): resizing or padding differs"]
