"""Images that go the whole way a host goes: resized, padded, run, enlarged.

And such as bring out divisions by zero.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from galago.errors import ModelError
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec
from galago.verification.compare import compare_labels
from galago.verification.report import HostCheck
from galago.verification.twin import twin_of

SEED = 11  # of the drawn scenes and the noise
PLAIN_SIZE = (96, 160)  # (height, width) of images of one color, where a file takes any size
COLORS = {"black": (0, 0, 0), "gray": (128, 128, 128), "white": (255, 255, 255), "red": (255, 0, 0)}
SCENE_SIZES = (
    (333, 501),
    (640, 256),
    (90, 160),
)  # odd sides, upright and larger, small: each is resized or padded by a rule
LABELS = {
    "float32": 0.999,
    "float16": 0.99,
    "bfloat16": 0.95,
    "int8": 0.85,
}  # least share of equal labels: an enlarged image
# has more near ties between classes than a golden one, and one wrong pixel of the network is many
# of the image


def plain_images(size: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield images of one color and one of noise, (H, W, 3) uint8 RGB, with a name for each.

    Where an image has no structure, attention can have queries that are all zero, so that only its
    guard keeps the quotient finite.
    """
    for name, color in COLORS.items():
        yield name, np.full((*size, 3), color, np.uint8)
    yield "noise", np.random.default_rng(SEED).integers(0, 256, (*size, 3), np.uint8)


def check_host(
    segmenter: Segmenter, trained: Segmenter | None, truth: ModelSpec, precision: str
) -> Iterator[HostCheck]:
    """Label images of one color, of noise, and of sizes that have to be resized and padded.

    Args:
        segmenter: the file in its engine, with the description that a host reads.
        trained: the network of the checkpoint, without which nothing is compared, only looked for
            what is not finite.
        truth: the description that export recorded; how the trained network's images are resized.
        precision: what the file holds, which decides how many labels may differ.
    Raises:
        ModelError: the engine cannot run the file on an image.
    """
    for name, image in plain_images(segmenter.input_size or PLAIN_SIZE):
        yield HostCheck(
            image=f"{name} {image.shape[0]} x {image.shape[1]}", faults=not_finite(segmenter, image)
        )
    twin = expected_host(segmenter, trained, truth) if trained else None
    for size in SCENE_SIZES:
        image = render_scene(SEED, size).image
        faults = not_finite(segmenter, image)
        if not faults:
            faults = compare_host(segmenter, twin, image, LABELS[precision])
        yield HostCheck(
            image=f"scene {size[0]} x {size[1]}", compared=twin is not None, faults=faults
        )


def expected_host(segmenter: Segmenter, trained: Segmenter, truth: ModelSpec) -> Segmenter:
    """Return the trained network in the file's place, with the resize rule that export recorded
    instead of the file's own.
    """
    rules = replace(
        segmenter.spec,
        resize=truth.resize,
        short_side=truth.short_side,
        input_size=truth.input_size,
        output=truth.output,
    )
    return twin_of(Segmenter(segmenter.engine, rules), trained)


def not_finite(segmenter: Segmenter, image: np.ndarray) -> list[str]:
    """Say how many logits for an image are not finite.

    Nothing of a file that gives labels, which hide it.
    """
    if segmenter.spec.output != "logits":
        return []
    count = int((~np.isfinite(segmenter.logits(image))).sum())
    return (
        [f"{count:,} logits are not finite, as by a division by zero or an overflow"]
        if count
        else []
    )


def compare_host(
    segmenter: Segmenter, twin: Segmenter | None, image: np.ndarray, least: float
) -> list[str]:
    """Say whether too few labels are those of the trained network, or whether the label map has
    another size.
    """
    labels = segmenter(image).labels
    if labels.shape != image.shape[:2]:
        raise ModelError(f"gives labels of shape {labels.shape} for an image of {image.shape[:2]}")
    same = compare_labels(twin(image).labels, labels)["labels"] if twin else None
    if same is None or same >= least:
        return []
    return [
        f"{same:.3%} of labels are equal (at least {least:.2%}): resizing or padding is another"
    ]
