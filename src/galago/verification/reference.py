"""The trained network as a reference, also in an exported file's place: what a host would get if
the file gave exactly what was trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from galago.errors import ModelError
from galago.runtime.engines.base import Engine
from galago.runtime.labelmap.label_map import label_map
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec
from galago.verification.fingerprints import LayerFingerprint
from galago.verification.golden import Golden

SCENE_SEED = 5  # of the synthetic scenes; not that of golden/
GOLDEN = "golden"


class Reference(Protocol):
    """The trained network in float32, where torch and its checkpoint are at hand."""

    segmenter: Segmenter

    def fingerprints(self, image: np.ndarray) -> list[LayerFingerprint]:
        """Return fingerprints of the intermediate maps for an (H, W, 3) uint8 RGB image."""


@dataclass(frozen=True, eq=False)
class ExpectedOutput:
    """An image, and what the trained network gives for it.

    Attributes:
        name: of the image, for reports.
        image: (H, W, 3) uint8 RGB, H and W multiples of 32.
        logits: (K, h, w) float32.
        labels: (H, W) uint8.
    """

    name: str
    image: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


def expected_outputs(
    segmenter: Segmenter,
    golden: Golden,
    reference: Reference | None,
    sizes: Sequence[tuple[int, int]],
) -> Iterator[ExpectedOutput]:
    """Yield what a file should give: for the golden image, and for synthetic scenes where the
    trained network is at hand.

    Args:
        segmenter: the file in its engine.
        golden: the content of golden/.
        reference: the trained network, or None.
        sizes: (height, width) of the scenes, unless the file takes one size only.
    Raises:
        ModelError: the file takes another size than that of golden/, and there is no reference.
    """
    fixed_size = segmenter.input_size
    fits = fixed_size in (None, golden.image.shape[:2])
    if fits:
        yield ExpectedOutput(GOLDEN, golden.image, golden.logits, golden.labels)
    if reference is None:
        if not fits:
            raise ModelError(
                f"takes {fixed_size} only, and golden/ holds another size: give --against, or "
                "export with --imgsz"
            )
        return
    trained = reference.segmenter
    unresized = Segmenter(trained.engine, trained.spec.unresized())
    for size in dict.fromkeys([fixed_size] if fixed_size else sizes):
        image = render_scene(SCENE_SEED, size).image
        logits = unresized.engine.run(image[None])[0].copy()
        yield ExpectedOutput(f"{size[0]} x {size[1]}", image, logits, unresized(image).labels)


class ReferenceEngine:
    """Runs the trained network with the sizes and the output of an exported file."""

    name = "trained network"

    def __init__(
        self, network: Engine, spec: ModelSpec, input_size: tuple[int, int] | None
    ) -> None:
        """Put a network behind a file's contract.

        Args:
            network: gives logits for any multiples of 32.
            spec: what the file gives, `logits` or `labels`, and the upsampling of logits.
            input_size: the one (height, width) that the file takes, None if it takes any.
        """
        self.network = network
        self.spec = spec
        self.input_size = input_size

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run (1, H, W, 3) uint8 RGB: (1, K, h, w) float32 logits or (1, H, W) uint8 labels."""
        logits = self.network.run(image)
        if self.spec.output == "logits":
            return logits
        scale = 1 / self.spec.output_stride
        size = (image.shape[1], image.shape[2])
        return label_map(logits[0], size, (scale, scale), self.spec.upsampling)[None]


def reference_for(file: Segmenter, trained: Segmenter) -> Segmenter:
    """Return the trained network as a host would run it in the place of a file.

    Resizing, padding to one size and `labels` at the network's size cost accuracy on their own, the
    same for every file: scores that are compared with this reference tell what the file alone
    costs.

    Args:
        file: an exported file with the description of its folder.
        trained: the network of the checkpoint, with the checkpoint's description.
    """
    spec = replace(
        trained.spec,
        input_size=file.spec.input_size,
        resize=file.spec.resize,
        short_side=file.spec.short_side,
        output=file.spec.output,
    )
    return Segmenter(ReferenceEngine(trained.engine, spec, file.engine.input_size), spec)
