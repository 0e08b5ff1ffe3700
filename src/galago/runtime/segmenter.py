"""Segmenter: photo in, Segmentation out."""

import os
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter

import numpy as np

from galago import image as images
from galago.errors import ConfigError, ImageError, ModelError
from galago.runtime.engines.base import Engine
from galago.runtime.labelmap.label_map import label_map
from galago.runtime.result import Logits, Segmentation
from galago.runtime.smoothing import Smoother
from galago.spec import LONGEST_SIDE, ModelSpec


class Segmenter:
    """A model that is ready to label photos; several threads may share it.

    Attributes:
        engine: what runs the network.
        spec: classes, palette, and how photos are prepared.
        imgsz: (height, width) that photos are fitted into, or None for the resize rule of the spec.
        fixed_size: the one (height, width) that the engine's file takes, of a model whose other
            files take any; photos are made smaller until they fit, and padded.
    """

    def __init__(
        self, engine: Engine, spec: ModelSpec, *, imgsz: tuple[int, int] | None = None
    ) -> None:
        """Put an engine and a description together.

        Args:
            engine: runs the network.
            spec: describes it.
            imgsz: (height, width) in pixels that a photo is scaled to fit into, up or down, its
                aspect ratio kept, before it is padded to multiples of 32; takes the place of the
                spec's resize rule.
        Raises:
            ConfigError: imgsz is no such pair, or not the one size that the model takes.
        """
        if imgsz is not None:
            check_imgsz(imgsz, spec)
        self.engine = engine
        self.spec = spec
        self.imgsz = imgsz
        self.fixed_size: tuple[int, int] | None = None if spec.input_size else engine.input_size

    def __call__(
        self,
        photo: np.ndarray | str | Path,
        *,
        smoother: Smoother | None = None,
        confidence: bool = False,
    ) -> Segmentation:
        """Label every pixel of a photo.

        Args:
            photo: (H, W, 3) uint8 RGB, or the path of a photo file.
            smoother: averages the logits with those of the film's frames before, so that labels
                flicker less; one per video, whose frames come one after the other.
            confidence: keep what `confidence` and `margin` of the result are made from.
        Returns:
            labels at the photo's own size, whatever the network saw.
        Raises:
            ConfigError: the model gives labels, and smoother or confidence need logits; or the
                smoother is at work on another frame in another thread.
            ImageError: the photo cannot be read, or the array has another form.
            ModelError: the network gives values that are not finite, or of another number of
                classes than its description.
        """
        if not isinstance(photo, np.ndarray | str | os.PathLike):
            raise ImageError(
                "Expected an (H, W, 3) uint8 RGB array or the path of a photo, got "
                f"{type(photo).__name__}."
            )
        if smoother or confidence:
            self.check_logits("Smoothing and confidence")
        with smoother.one_frame() if smoother else nullcontext():
            return self._label(photo, smoother, confidence)

    def _label(
        self, photo: np.ndarray | str | Path, smoother: Smoother | None, confidence: bool
    ) -> Segmentation:
        """Do what calling the segmenter does, once the arguments are checked."""
        start = perf_counter()
        path = None if isinstance(photo, np.ndarray) else Path(photo)
        image = photo if isinstance(photo, np.ndarray) else images.load(photo)
        read = perf_counter()
        prepared, seen = self.prepare(image)
        pre = perf_counter()
        output = self.check_output(self.engine.run(prepared[None])[0], prepared.shape[:2])
        infer = perf_counter()
        if smoother:
            output = smoother(output)
        scale = self._scale(image.shape[:2], seen)
        if self.spec.output == "labels":
            labels = resize_labels(output[: seen[0], : seen[1]], image.shape[:2])
        else:
            labels = label_map(output, image.shape[:2], scale, self.spec.upsampling)
        post = perf_counter()
        marks = (start, read, pre, infer, post)
        names = ("read", "pre", "infer", "post")
        speed = {
            name: 1000 * (after - before)
            for name, before, after in zip(names, marks, marks[1:], strict=False)
        }
        spec = self.spec
        kept = (
            Logits(output.copy(), scale) if confidence else None
        )  # the engine writes this thread's next photo's there
        return Segmentation(
            labels=labels,
            names=spec.classes,
            palette=spec.palette,
            image=image,
            path=path,
            speed=speed,
            logits=kept,
        )

    @property
    def input_size(self) -> tuple[int, int] | None:
        """The one (height, width) that the network gets, None where it takes any multiples of 32."""
        return self.spec.input_size or self.fixed_size

    def logits(self, image: np.ndarray) -> np.ndarray:
        """Return what the network gives for an (H, W, 3) uint8 RGB photo: (K, h, w) float32 at its
        stride, padding included.

        Raises:
            ConfigError: the model gives labels.
            ModelError: the network gives something else than its description says.
        """
        self.check_logits("This")
        prepared = self.prepare(image)[0]
        return self.check_output(self.engine.run(prepared[None])[0], prepared.shape[:2]).copy()

    def check_logits(self, what: str) -> None:
        """Refuse what needs logits of a model that gives labels.

        Raises:
            ConfigError: it gives labels.
        """
        if self.spec.output != "logits":
            raise ConfigError(
                f"{what} needs logits, but {self.spec.name} gives labels. Export it without "
                "--output labels."
            )

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Resize an (H, W, 3) uint8 RGB photo as the model's description says, or to fit into
        `imgsz`; nothing is padded.
        """
        spec = self.spec
        if self.imgsz:
            return images.resize(image, images.fitted_size(image.shape[:2], self.imgsz))
        if spec.resize == "stretch" and spec.input_size:
            return images.resize(image, spec.input_size)
        if spec.resize == "short_side" and spec.short_side:
            return images.resize(image, images.short_side_size(image.shape[:2], spec.short_side))
        return image

    def prepare(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Resize and pad a photo as the model's description says, or into `imgsz`.

        Returns:
            the (H, W, 3) uint8 image that the network gets, and the (height, width) of the photo's
            part in it.
        """
        spec, image = self.spec, self.resize(image)
        color = [round(255 * channel) for channel in spec.mean]
        if self.fixed_size:
            if image.shape[0] > self.fixed_size[0] or image.shape[1] > self.fixed_size[1]:
                image = images.resize(image, images.fitted_size(image.shape[:2], self.fixed_size))
            padded = images.pad_to_size(image, color, self.fixed_size)
        elif self.imgsz and spec.input_size:  # the same pair
            padded = images.pad_to_size(image, color, spec.input_size)
        else:
            padded = images.pad_to_multiple(image, color)
        if spec.input_size and padded.shape[:2] != spec.input_size:
            given = f"{image.shape[:2]}, {padded.shape[:2]} when padded"
            raise ImageError(
                f"The model takes photos of {spec.input_size} (height, width), got {given}. "
                "Resize the photo, or export the model without a fixed size."
            )
        return np.ascontiguousarray(padded), image.shape[:2]

    def _scale(self, size: tuple[int, int], seen: tuple[int, int]) -> tuple[float, float]:
        """Return the logits per pixel of a photo of one size, which the network saw in another."""
        return seen[0] / size[0] / self.spec.output_stride, seen[1] / size[
            1
        ] / self.spec.output_stride

    def check_output(self, output: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Return the output of the network if it has the form that the description tells.

        Args:
            output: (K, h, w) float32 logits, or (H, W) uint8 labels.
            size: (height, width) of the image that the network got.
        Raises:
            ModelError: it has another form: labels for logits or the reverse, other classes,
                another stride.
        """
        spec = self.spec
        if output.ndim == 3 and spec.output == "logits" and len(output) != spec.num_classes:
            raise ModelError(
                f"The network gives {len(output)} classes, but its description names "
                f"{spec.num_classes}. Export it again."
            )
        stride = spec.output_stride
        classes = (spec.num_classes,) if spec.output == "logits" else ()
        expected = (*classes, *(side // (stride if classes else 1) for side in size))
        if output.shape != expected:
            raise ModelError(
                f"The network gives {output.shape} for an image of {size[0]} x {size[1]}, but its "
                "description says "
                f"{spec.output} of {expected}. Export it again."
            )
        return output


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring (h, w) labels to a photo's (height, width): each pixel takes the nearest one."""
    if labels.shape == size:
        return labels.copy()  # the engine writes this thread's next photo's into the same memory
    rows, columns = (
        ((np.arange(pixels) + 0.5) * seen / pixels).astype(int)
        for pixels, seen in zip(size, labels.shape, strict=True)
    )
    grown: np.ndarray = labels[rows][:, columns]
    return grown


def check_imgsz(imgsz: tuple[int, int], spec: ModelSpec) -> None:
    """Refuse a size that photos cannot be fitted into, or that the model does not take.

    Raises:
        ConfigError: it is so.
    """
    whole = (
        isinstance(imgsz, tuple)
        and len(imgsz) == 2
        and all(isinstance(side, int) for side in imgsz)
    )
    if not whole or not all(1 <= side <= LONGEST_SIDE for side in imgsz):
        raise ConfigError(
            f"Expected imgsz as (height, width), each 1 to {LONGEST_SIDE} pixels, got {imgsz!r}."
        )
    if spec.input_size and imgsz != spec.input_size:
        height, width = spec.input_size
        raise ConfigError(
            f"The model {spec.name} takes {height} x {width} pixels and nothing else, got imgsz "
            f"{imgsz[0]} x {imgsz[1]}. "
            "Leave imgsz out, or export the model without a fixed size."
        )
