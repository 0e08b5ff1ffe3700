"""FullResolutionLogits: a Segmenter as a function from images to logits at every pixel, for
test-time augmentation and sliding windows.
"""

import numpy as np

from galago import image as images
from galago.errors import ImageError
from galago.runtime.labelmap.label_map import upsample_logits
from galago.runtime.result import Logits
from galago.runtime.segmenter import Segmenter
from galago.spec import mean_color


class FullResolutionLogits:
    """Runs a model on images, crops and scaled copies, which are padded and not resized."""

    def __init__(self, segmenter: Segmenter) -> None:
        """Wrap a model.

        Raises:
            ConfigError: it gives labels.
        """
        segmenter.check_logits("Averaging over several views of a photo")
        self._segmenter = segmenter

    def __call__(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Run the network on an image, and upsample its logits.

        Args:
            image: (H, W, 3) uint8 RGB.
            size: (height, width) to upsample to.
        Returns:
            (K, height, width) float32.
        Raises:
            ImageError: the image is larger than the one size that the model takes.
            ModelError: the network gives values that are not finite, or of another number of
                classes than its description.
        """
        segmenter, spec = self._segmenter, self._segmenter.spec
        height, width = image.shape[:2]
        color = mean_color(spec.mean)
        if box := segmenter.input_size:
            if height > box[0] or width > box[1]:
                raise ImageError(
                    f"The model {spec.name} takes {box[0]} x {box[1]} pixels and nothing larger, "
                    f"got {height} x {width}. "
                    f"Show photos in windows, as --slide {box[0]} {box[1]}, or export the model "
                    "without a fixed size."
                )
            padded = images.pad_to_size(image, color, box)
        else:
            padded = images.pad_to_multiple(image, color)
        output = segmenter.check_output(
            segmenter.engine.run(np.ascontiguousarray(padded)[None])[0], padded.shape[:2]
        )
        scale = height / size[0] / spec.output_stride, width / size[1] / spec.output_stride
        return upsample_logits(output, size, scale, spec.upsampling)


def top_probabilities(logits: Logits, size: tuple[int, int], upsampling: str) -> np.ndarray:
    """Return the largest softmax probability of each pixel's upsampled logits, the confidence that
    studies of calibration use.

    `confidence_map` interpolates probabilities instead of logits, which takes a fraction of the
    time and memory, and is lower along borders.

    Args:
        logits: what the network gave for an image.
        size: (height, width) of the image.
        upsampling: bilinear or bicubic.
    Returns:
        (height, width) float32, 1 / K to 1.
    """
    upsampled = upsample_logits(logits.values, size, logits.scale, upsampling)
    upsampled -= upsampled.max(axis=0)
    np.exp(upsampled, out=upsampled)
    top: np.ndarray = 1 / upsampled.sum(axis=0)
    return top
