"""The trained network in a file's place: what a host would get if the file gave exactly what was
trained.
"""

from dataclasses import replace

import numpy as np

from galago.runtime.engines.base import Engine
from galago.runtime.labelmap.label_map import label_map
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec


class Twin:
    """Runs the trained network with the sizes and the output of an exported file."""

    name = "trained network"

    def __init__(
        self, network: Engine, spec: ModelSpec, input_size: tuple[int, int] | None
    ) -> None:
        """Put a network behind a file's contract.

        Args:
            network: gives logits for any multiples of 32.
            spec: what the file gives, `logits` or `labels`, and how logits grow.
            input_size: the one (height, width) that the file takes, None where it takes any.
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


def twin_of(file: Segmenter, trained: Segmenter) -> Segmenter:
    """Return the trained network as a host would run it if it were the file.

    Resizing, padding to one size and `labels` at the network's size cost accuracy by themselves, in
    the same way for every file: scores that are compared with the twin's tell what the file alone
    costs.

    Args:
        file: an exported file with the description of its folder.
        trained: the network of the checkpoint, with the checkpoint's description.
    """
    rules = file.spec
    spec = replace(
        trained.spec,
        input_size=rules.input_size,
        resize=rules.resize,
        short_side=rules.short_side,
        output=rules.output,
    )
    return Segmenter(Twin(trained.engine, spec, file.engine.input_size), spec)
