"""Segmenter: image in, Segmentation out."""

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
from galago.spec import LONGEST_SIDE, ModelSpec, mean_color


class Segmenter:
    """A model that is ready to label images; several threads may share it.

    Attributes:
        engine: what runs the network.
        spec: classes, palette, and how images are prepared.
        imgsz: (height, width) that images are fitted into, or None for the resize rule of the spec.
        fixed_size: the one (height, width) that the engine's file takes, where the model's other
            files take any; images are scaled down to fit, and padded.
    """

    def __init__(
        self, engine: Engine, spec: ModelSpec, *, imgsz: tuple[int, int] | None = None
    ) -> None:
        """Combine an engine and a description.

        Args:
            engine: runs the network.
            spec: describes it.
            imgsz: (height, width) in pixels that an image is scaled to fit into, up or down with
                its aspect ratio kept, before it is padded to multiples of 32; replaces the spec's
                resize rule.
        Raises:
            ConfigError: imgsz is not such a pair, or not the one size that the model takes.
        """
        if imgsz is not None:
            check_imgsz(imgsz, spec)
        self.engine = engine
        self.spec = spec
        self.imgsz = imgsz
        self.fixed_size: tuple[int, int] | None = None if spec.input_size else engine.input_size

    def __call__(
        self,
        image: np.ndarray | str | Path,
        *,
        smoother: Smoother | None = None,
        confidence: bool = False,
    ) -> Segmentation:
        """Label every pixel of an image.

        Args:
            image: (H, W, 3) uint8 RGB, or the path of an image file.
            smoother: averages the logits with those of the video's earlier frames, so that labels
                flicker less; one per video, whose frames come one after the other.
            confidence: keep the logits, for `confidence` and `margin` of the result.
        Returns:
            labels at the image's own size, whatever size the network gets.
        Raises:
            ConfigError: the model gives labels, and smoother or confidence need logits; or the
                smoother is busy with another frame in another thread.
            ImageError: the image cannot be read, or the array has another form.
            ModelError: the network gives values that are not finite, or of another number of
                classes than its description.
        """
        if not isinstance(image, np.ndarray | str | os.PathLike):
            raise ImageError(
                "Expected an (H, W, 3) uint8 RGB array or the path of a photo, got "
                f"{type(image).__name__}."
            )
        if smoother or confidence:
            self.check_logits("Smoothing and confidence")
        with smoother.one_frame() if smoother else nullcontext():
            return self._label(image, smoother, confidence)

    def _label(
        self, source: np.ndarray | str | Path, smoother: Smoother | None, confidence: bool
    ) -> Segmentation:
        """Label an image whose arguments are checked."""
        start = perf_counter()
        path = None if isinstance(source, np.ndarray) else Path(source)
        image = source if isinstance(source, np.ndarray) else images.load(source)
        size = (image.shape[0], image.shape[1])
        read = perf_counter()
        prepared, content = self.prepare(image)
        pre = perf_counter()
        output = self.check_output(self.engine.run(prepared[None])[0], prepared.shape[:2])
        infer = perf_counter()
        if smoother:
            output = smoother(output)
        scale = self._scale(size, content)
        if self.spec.output == "labels":
            labels = _resize_labels(output[: content[0], : content[1]], size)
        else:
            labels = label_map(output, size, scale, self.spec.upsampling)
        post = perf_counter()
        return Segmentation(
            labels=labels,
            names=self.spec.classes,
            palette=self.spec.palette,
            image=image,
            path=path,
            speed={
                "read": 1000 * (read - start),
                "pre": 1000 * (pre - read),
                "infer": 1000 * (infer - pre),
                "post": 1000 * (post - infer),
            },
            # a copy, because the engine writes the output of this thread's next image there
            logits=Logits(output.copy(), scale) if confidence else None,
        )

    @property
    def input_size(self) -> tuple[int, int] | None:
        """The one (height, width) that the network gets; None: any multiples of 32."""
        return self.spec.input_size or self.fixed_size

    def logits(self, image: np.ndarray) -> np.ndarray:
        """Return what the network gives for an (H, W, 3) uint8 RGB image: (K, h, w) float32 at its
        stride, padding included.

        Raises:
            ConfigError: the model gives labels.
            ModelError: the output has another shape than the description says.
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
        """Resize an (H, W, 3) uint8 RGB image as the model's description says, or to fit into
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
        """Resize and pad an image as the model's description says, or into `imgsz`.

        Returns:
            the (H, W, 3) uint8 image that the network gets, and the (height, width) of its part
            that is no padding.
        """
        spec, image = self.spec, self.resize(image)
        color = mean_color(spec.mean)
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

    def _scale(self, size: tuple[int, int], content: tuple[int, int]) -> tuple[float, float]:
        """Return the logits per pixel, along height and width.

        Args:
            size: (height, width) of the image.
            content: (height, width) that the network gets it in, padding left out.
        """
        stride = self.spec.output_stride
        return content[0] / size[0] / stride, content[1] / size[1] / stride

    def check_output(self, output: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Return the output of the network if it has the shape in the description.

        Args:
            output: (K, h, w) float32 logits, or (H, W) uint8 labels.
            size: (height, width) of the image that the network got.
        Raises:
            ModelError: it has another shape: labels for logits or the reverse, other classes,
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


def _resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (h, w) labels to the (height, width) of an image; each pixel takes the nearest one."""
    if labels.shape == size:
        return labels.copy()  # the engine writes the output of this thread's next image there
    rows = _nearest(size[0], labels.shape[0])
    columns = _nearest(size[1], labels.shape[1])
    resized: np.ndarray = labels[rows][:, columns]
    return resized


def _nearest(pixels: int, source: int) -> np.ndarray:
    """Return the index of the nearest of `source` pixels for each of `pixels`."""
    return ((np.arange(pixels) + 0.5) * source / pixels).astype(int)


def check_imgsz(imgsz: tuple[int, int], spec: ModelSpec) -> None:
    """Refuse a size that images cannot be fitted into, or that the model does not take.

    Raises:
        ConfigError: imgsz is such a size.
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
