"""What a training run is told: one flat value that checks itself."""

from dataclasses import dataclass

from galago.errors import ConfigError
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, SIZE_MULTIPLE

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run; `recipes.py` holds those that we publish.

    Attributes:
        variant: network size, as `b0`.
        head: shape of the head, a key of models.variants.SEG_HEADS, or None for the variant's own.
        epochs: passes over the training photos.
        batch_size: photos per step, over all processes together.
        crop_size: (height, width) in pixels that the network sees in training, each a multiple of 32.
        peak_learning_rate: AdamW's, reached after warm-up, then cosine decay to zero.
        weight_decay: AdamW's, for convolution weights; norms and biases have none.
        warmup_epochs: epochs of linear warm-up; at most half of all epochs are.
        gradient_clip: largest norm of all gradients together.
        ema_decay: of the moving average of the weights, which is what is evaluated and kept.
        min_scale, max_scale: range of the random zoom before the crop, drawn on a log scale.
        max_stretch: largest random change of the aspect ratio, as a factor.
        flip: probability of a mirror image.
        rare_crop: probability that a crop is laid around a pixel of a rare class, each class of the photo drawn alike.
        color: strength of random brightness, contrast, gamma, saturation and hue, 0 to 1.
        blur_noise: probability of blur and, independently, of sensor noise.
        dice_weight: weight of the soft Dice loss beside cross-entropy.
        loss_stride: the loss looks at every `loss_stride`-th pixel of every `loss_stride`-th row, shifted at random each step.
        auxiliary_weight: weight of the losses of two extra classifiers on the last two stages, in training only.
        mean, std: of the RGB channels on a scale of 0 to 1, for normalization.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 where the device computes it natively.
        workers: processes that read and augment photos.
        seed: of everything random.
        validate_every: epochs between evaluations.
    """

    variant: str = "b0"
    head: str | None = None
    epochs: int = 240
    batch_size: int = 8
    crop_size: tuple[int, int] = (352, 480)
    peak_learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 3.0
    gradient_clip: float = 2.0
    ema_decay: float = 0.998
    min_scale: float = 0.5
    max_scale: float = 2.0
    max_stretch: float = 1.15
    flip: float = 0.5
    rare_crop: float = 0.5
    color: float = 0.5
    blur_noise: float = 0.15
    dice_weight: float = 0.5
    loss_stride: int = 2
    auxiliary_weight: float = 0.4
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: str = "auto"
    workers: int = 1
    seed: int = 0
    validate_every: int = 5

    def __post_init__(self) -> None:
        if len(self.crop_size) != 2 or any(side <= 0 or side % SIZE_MULTIPLE for side in self.crop_size):
            raise ConfigError(f"crop_size needs multiples of {SIZE_MULTIPLE} as (height, width), got {self.crop_size}.")
        for name in ("epochs", "batch_size", "validate_every", "loss_stride", "peak_learning_rate", "gradient_clip"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} needs to be positive, got {getattr(self, name)}.")
        for name in ("workers", "warmup_epochs", "weight_decay", "dice_weight", "auxiliary_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} cannot be negative, got {getattr(self, name)}.")
        for name in ("flip", "rare_crop", "color", "blur_noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} needs to lie between 0 and 1, got {getattr(self, name)}.")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay needs to lie in [0, 1), got {self.ema_decay}.")
        if not 0 < self.min_scale <= self.max_scale or self.max_stretch < 1:
            raise ConfigError(
                "Expected 0 < min_scale <= max_scale and max_stretch >= 1, "
                f"got {self.min_scale}, {self.max_scale}, {self.max_stretch}."
            )
        if self.batch_size == 1 and self.crop_size == (SIZE_MULTIPLE, SIZE_MULTIPLE):
            raise ConfigError("One crop of 32 x 32 gives BatchNorm a single value per channel. Use a larger batch or crop.")
        if not all(value > 0 for value in self.std):
            raise ConfigError(f"std needs three positive numbers, got {self.std}.")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"Unknown precision {self.precision!r}. Choose one of: {', '.join(PRECISIONS)}.")
