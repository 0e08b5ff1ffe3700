"""ModelSpec: what a model file needs to know about itself, to and from JSON."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from galago._core.dataclass_json import from_json, to_json
from galago._core.shown import shown
from galago.errors import ConfigError, ModelError
from galago.labels import IGNORE_ID, Color, LabelSet

SCHEMA_VERSION = 2  # 1 had no metrics
SIZE_MULTIPLE = 32  # the network halves its input five times
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESIZE_RULES = ("keep", "stretch", "short_side")
OUTPUTS = ("logits", "labels")
UPSAMPLINGS = ("bilinear", "bicubic")
PRECISIONS = ("float32", "float16", "bfloat16", "int8")
OUTPUT_STRIDES = (1, 2, 4, 8, 16, 32)
LONGEST_SIDE = 16384  # pixels that a network's input may have on a side
MAX_INPUT_PIXELS = 1 << 26  # 67 million, as 8192 x 8192: more fills the memory of any machine
MAX_SHORT_SIDE = 4096  # pixels; the long side may be `galago.image.NARROWEST` times as long
STD_RANGE = (1e-3, 100.0)  # of values that are 0 to 1; 1 / 255 is in use
MAX_FILES = 10_000
SHA256 = re.compile("[0-9a-f]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good a model is, measured at one scale without flip.

    Attributes:
        mean_iou: mean intersection over union, 0 to 1.
        pixel_accuracy: share of correct pixels, 0 to 1, if it is known.
        dataset: what it was measured on, if it is known.
    """

    mean_iou: float
    pixel_accuracy: float | None = None
    dataset: str | None = None

    def __post_init__(self) -> None:
        for name in ("mean_iou", "pixel_accuracy"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} needs 0 to 1, got {value}.")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The instructions that travel with a model file.

    Attributes:
        name: name of the model, such as `b0-camvid`.
        variant: name of the network, such as `b0`.
        classes: one name per class; the position is the id.
        palette: one RGB color per class, 0 to 255.
        ignore_id: label of ignored pixels.
        input_size: the one (height, width) that the file takes, or None for any multiples of 32.
        resize: what happens to a photo before the network. `keep`: nothing but padding at the right
            and the bottom up to multiples of 32; `stretch`: resized to `input_size`; `short_side`:
            resized until the short side is `short_side` pixels, the long side rounded up to a
            multiple of 32.
        short_side: pixels, for that resize rule only.
        mean, std: of each RGB channel on a scale of 0 to 1; normalization is part of the model
            file.
        output: what the file gives: float32 `logits` at 1 / output_stride of the input size, or
            uint8 `labels` at its full size.
        output_stride: pixels of input per pixel of logits.
        upsampling: how logits grow to the photo's size before the largest one wins.
        precision: of the weights and sums: float32, float16, bfloat16 or int8.
        licenses: one line each for `code`, `weights` and `data`.
        metrics: how good the trained network is, if that is known.
        files: SHA-256 of every file of the model folder, by relative path.
        schema_version: version of this description.
    """

    name: str
    variant: str
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    ignore_id: int = IGNORE_ID
    input_size: tuple[int, int] | None = None
    resize: str = "keep"
    short_side: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    output: str = "logits"
    output_stride: int = 8
    upsampling: str = "bilinear"
    precision: str = "float32"
    licenses: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        LabelSet(self.classes, self.palette)  # checks both
        for value, allowed, what in (
            (self.resize, RESIZE_RULES, "resize"),
            (self.output, OUTPUTS, "output"),
            (self.upsampling, UPSAMPLINGS, "upsampling"),
            (self.precision, PRECISIONS, "precision"),
        ):
            if value not in allowed:
                raise ConfigError(
                    f"Unknown {what} {shown(value)}. Choose one of: {', '.join(allowed)}."
                )
        self._check_sizes()
        if not 0 <= self.ignore_id <= 255:
            raise ConfigError(f"ignore_id needs 0 to 255, got {self.ignore_id}.")
        if len(self.mean) != 3 or not all(
            0 <= value <= 1 for value in self.mean
        ):  # so that nan fails, too
            raise ConfigError(f"mean needs three numbers from 0 to 1, got {self.mean}.")
        if len(self.std) != 3 or not all(
            STD_RANGE[0] <= value <= STD_RANGE[1] for value in self.std
        ):
            raise ConfigError(
                f"std needs three positive numbers from {STD_RANGE[0]} to {STD_RANGE[1]:.0f}, got "
                f"{self.std}."
            )
        if len(self.files) > MAX_FILES:
            raise ConfigError(f"files lists {len(self.files)}, expected at most {MAX_FILES}.")
        for name, checksum in self.files.items():
            check_inside(name)
            if not SHA256.fullmatch(checksum):
                raise ConfigError(
                    f"files has no SHA-256 in hexadecimal for {shown(name)}, but {shown(checksum)}."
                )

    def _check_sizes(self) -> None:
        """Refuse sizes that no network takes, or that fill the memory, and rules that contradict
        each other.

        Raises:
            ConfigError: a size is so.
        """
        if self.input_size is not None:
            if any(side <= 0 or side % SIZE_MULTIPLE for side in self.input_size):
                raise ConfigError(
                    f"input_size needs multiples of {SIZE_MULTIPLE} as (height, width), got "
                    f"{self.input_size}."
                )
            if max(self.input_size) > LONGEST_SIDE or math.prod(self.input_size) > MAX_INPUT_PIXELS:
                raise ConfigError(
                    f"input_size needs sides of at most {LONGEST_SIDE} pixels and "
                    f"{MAX_INPUT_PIXELS:,} pixels in all, "
                    f"got {self.input_size}."
                )
        if self.resize == "stretch" and not self.input_size:
            raise ConfigError("resize 'stretch' needs an input_size to stretch photos to.")
        if (self.resize == "short_side") != (self.short_side is not None):
            raise ConfigError(
                f"short_side belongs to resize 'short_side', got {shown(self.resize)} with "
                f"{self.short_side}."
            )
        if self.short_side is not None and not 1 <= self.short_side <= MAX_SHORT_SIDE:
            raise ConfigError(
                f"short_side needs 1 or more pixels, {MAX_SHORT_SIDE} at most, got "
                f"{self.short_side}."
            )
        if self.output_stride not in OUTPUT_STRIDES:
            strides = ", ".join(map(str, OUTPUT_STRIDES))
            raise ConfigError(
                f"output_stride needs 1 or more pixels, one of {strides}, got {self.output_stride}."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes, K."""
        return len(self.classes)

    def unresized(self) -> Self:
        """Describe the same model for images that it gets as they are, padded at most.

        That is how golden images and other test images of a fitting size go through a file: what is
        compared is the network, not how a host resizes.
        """
        return replace(self, resize="keep", short_side=None)

    def to_json(self) -> str:
        """Write as JSON, the keys in the order of the attributes."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote, also with schema version 1.

        Raises:
            ModelError: not JSON, an unknown schema version, or a key that is missing, unknown or of
                another type.
        """
        try:
            return from_json(
                cls, text, what="model description", version=SCHEMA_VERSION, older=(1,)
            )
        except ConfigError as error:
            raise ModelError(f"The model description is wrong: {error}") from error
        except ValueError as error:
            raise ModelError(f"{error} Export the model again, or update galago.") from error


def mean_color(mean: Sequence[float]) -> tuple[int, ...]:
    """Return the mean of normalization as an RGB color, 0 to 255: images are padded with it."""
    return tuple(round(255 * channel) for channel in mean)


def check_inside(name: str) -> None:
    """Refuse the name of a file that is not a plain path inside the model folder, as
    `golden/photo.png`.

    Raises:
        ConfigError: it is absolute, leaves the folder, or is no name on every system.
    """
    parts = name.split("/")
    plain = all(part not in ("", ".", "..") for part in parts) and not any(
        ord(character) < 32 or character in '\\:*?"<>|\x7f' for character in name
    )
    if not plain or len(name) > 255:
        raise ConfigError(f"files may name files inside the model folder only, got {name[:80]!r}.")
