"""Segmenter: photo in, Segmentation out."""

import os
from pathlib import Path
from time import perf_counter

import numpy as np

from galago import image as images
from galago.errors import ImageError, ModelError
from galago.runtime.engine import Engine
from galago.runtime.result import Segmentation
from galago.runtime.smoothing import Smoother
from galago.runtime.upsample import label_map
from galago.spec import SIZE_MULTIPLE, ModelSpec


class Segmenter:
    """A model that is ready to label photos.

    Attributes:
        engine: what runs the network.
        spec: classes, palette, and how photos are prepared.
        fixed_size: the one (height, width) that the engine's file takes, of a model whose other files take any; photos are
            made smaller until they fit, and padded.
    """

    def __init__(self, engine: Engine, spec: ModelSpec) -> None:
        if spec.output != "logits":
            raise ModelError(
                f"This galago runs models that give logits, got one that gives {spec.output}. Export the model again."
            )
        self.engine = engine
        self.spec = spec
        self.fixed_size: tuple[int, int] | None = None if spec.input_size else getattr(engine, "input_size", None)

    def __call__(self, photo: np.ndarray | str | Path, *, smoother: Smoother | None = None) -> Segmentation:
        """Label every pixel of a photo.

        Args:
            photo: (H, W, 3) uint8 RGB, or the path of a photo file.
            smoother: averages the logits with those of the film's frames before, so that labels flicker less.
        Returns:
            labels at the photo's own size, whatever the network saw.
        Raises:
            ImageError: the photo cannot be read, or the array has another form.
            ModelError: the network gives values that are not finite, or of another number of classes than its description.
        """
        if not isinstance(photo, np.ndarray | str | os.PathLike):
            raise ImageError(f"Expected an (H, W, 3) uint8 RGB array or the path of a photo, got {type(photo).__name__}.")
        start = perf_counter()
        path = None if isinstance(photo, np.ndarray) else Path(photo)
        image = photo if isinstance(photo, np.ndarray) else images.load(photo)
        read = perf_counter()
        prepared, seen = self.prepare(image)
        pre = perf_counter()
        output = self.engine.run(prepared[None])[0]
        infer = perf_counter()
        if smoother:
            output = smoother(output)
        labels = self._labels(output, image.shape[:2], seen)
        post = perf_counter()
        marks = (start, read, pre, infer, post)
        names = ("read", "pre", "infer", "post")
        speed = {name: 1000 * (after - before) for name, before, after in zip(names, marks, marks[1:], strict=False)}
        spec = self.spec
        return Segmentation(labels=labels, names=spec.classes, palette=spec.palette, image=image, path=path, speed=speed)

    def logits(self, image: np.ndarray) -> np.ndarray:
        """Return what the network gives for an (H, W, 3) uint8 RGB photo: (K, h, w) float32 at its stride, padding included."""
        logits: np.ndarray = self.engine.run(self.prepare(image)[0][None])[0].copy()
        return logits

    def prepare(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Resize and pad a photo as the model's description says.

        Returns:
            the (H, W, 3) uint8 image that the network gets, and the (height, width) of the photo's part in it.
        """
        spec = self.spec
        if spec.resize == "stretch" and spec.input_size:
            image = images.resize(image, spec.input_size)
        elif spec.resize == "short_side" and spec.short_side:
            image = images.resize(image, short_side_size(image.shape[:2], spec.short_side))
        color = [round(255 * channel) for channel in spec.mean]
        if self.fixed_size:
            image = images.resize(image, size_within(image.shape[:2], self.fixed_size))
            return np.ascontiguousarray(images.pad_to_size(image, self.fixed_size, color)), image.shape[:2]
        padded = images.pad_to_multiple(image, color)
        if spec.input_size and padded.shape[:2] != spec.input_size:
            given = f"{image.shape[:2]}, {padded.shape[:2]} when padded"
            raise ImageError(
                f"The model takes photos of {spec.input_size} (height, width), got {given}. "
                "Resize the photo, or export the model without a fixed size."
            )
        return np.ascontiguousarray(padded), image.shape[:2]

    def _labels(self, output: np.ndarray, size: tuple[int, int], seen: tuple[int, int]) -> np.ndarray:
        if len(output) != self.spec.num_classes:
            raise ModelError(
                f"The network gives {len(output)} classes, but its description names {self.spec.num_classes}. Export it again."
            )
        scale = (seen[0] / size[0] / self.spec.output_stride, seen[1] / size[1] / self.spec.output_stride)
        return label_map(output, size, scale, self.spec.upsampling)


def size_within(size: tuple[int, int], largest: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (height, width) of the same aspect ratio that fits into another; that of a small photo stays."""
    shrink = min(1.0, largest[0] / size[0], largest[1] / size[1])
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def short_side_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return (height, width), the short side as told, the long side rounded up to a multiple of 32: the ADE20K protocol."""
    height, width = size
    long_side = -(-max(size) * short_side // min(size) // SIZE_MULTIPLE) * SIZE_MULTIPLE
    return (short_side, long_side) if height <= width else (long_side, short_side)
