"""ModelSpec: what a model file needs to know about itself, to and from JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from galago.errors import ConfigError, ModelError
from galago.labels import IGNORE_ID, Color, LabelSet
from galago.typed_json import from_json, to_json

SCHEMA_VERSION = 1
SIZE_MULTIPLE = 32  # the network halves its input five times
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESIZE_RULES = ("keep", "stretch", "short_side")
OUTPUTS = ("logits", "labels")
UPSAMPLINGS = ("bilinear", "bicubic")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The instructions that travel with a model file.

    Attributes:
        name: name of the model, as `b0-camvid`.
        variant: name of the network, as `b0`.
        classes: one name per class; the position is the id.
        palette: one RGB color per class, 0 to 255.
        ignore_id: label of pixels that count nowhere.
        input_size: the one (height, width) that the file takes, or None for any multiples of 32.
        resize: what happens to a photo before the network. `keep`: nothing but padding at the right and the bottom up to
            multiples of 32; `stretch`: resized to `input_size`; `short_side`: resized until the short side is `short_side`
            pixels, the long side rounded up to a multiple of 32.
        short_side: pixels, for that resize rule only.
        mean, std: of each RGB channel on a scale of 0 to 1; normalization is part of the model file.
        output: what the file gives: float32 `logits` at 1 / output_stride of the input size, or uint8 `labels` at its full size.
        output_stride: pixels of input per pixel of logits.
        upsampling: how logits grow to the photo's size before the largest one wins.
        precision: of the weights and sums: float32, float16, bfloat16 or int8.
        licenses: one line each for `code`, `weights` and `data`.
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
    files: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        LabelSet(self.classes, self.palette)  # checks both
        for value, allowed, what in (
            (self.resize, RESIZE_RULES, "resize"), (self.output, OUTPUTS, "output"), (self.upsampling, UPSAMPLINGS, "upsampling"),
        ):  # fmt: skip
            if value not in allowed:
                raise ConfigError(f"Unknown {what} {value!r}. Choose one of: {', '.join(allowed)}.")
        if self.input_size and any(side <= 0 or side % SIZE_MULTIPLE for side in self.input_size):
            raise ConfigError(f"input_size needs multiples of {SIZE_MULTIPLE} as (height, width), got {self.input_size}.")
        if self.resize == "stretch" and not self.input_size:
            raise ConfigError("resize 'stretch' needs an input_size to stretch photos to.")
        if (self.resize == "short_side") != (self.short_side is not None):
            raise ConfigError(f"short_side belongs to resize 'short_side', got {self.resize!r} with {self.short_side}.")
        for pixels, what in ((self.short_side, "short_side"), (self.output_stride, "output_stride")):
            if pixels is not None and pixels < 1:
                raise ConfigError(f"{what} needs 1 or more pixels, got {pixels}.")
        if not 0 <= self.ignore_id <= 255:
            raise ConfigError(f"ignore_id needs 0 to 255, got {self.ignore_id}.")
        if not all(value > 0 for value in self.std):
            raise ConfigError(f"std needs three positive numbers, got {self.std}.")

    @property
    def num_classes(self) -> int:
        """Number of classes, K."""
        return len(self.classes)

    def unresized(self) -> Self:
        """Describe the same model for images that it gets as they are, padded at most.

        That is how golden images and other test images of a fitting size go through a file: what is compared is the network,
        not how a host resizes.
        """
        return replace(self, resize="keep", short_side=None)

    def to_json(self) -> str:
        """Write as JSON, the keys in the order of the attributes."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote.

        Raises:
            ModelError: not JSON, another schema version, or a key that is missing, unknown or of another type.
        """
        try:
            return from_json(cls, text, what="model description", version=SCHEMA_VERSION)
        except ConfigError as error:
            raise ModelError(f"The model description is wrong: {error}") from error
        except ValueError as error:
            raise ModelError(f"{error} Export the model again, or update galago.") from error
