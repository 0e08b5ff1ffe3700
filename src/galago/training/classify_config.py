"""What the pre-training of a backbone is told."""

from dataclasses import dataclass

from galago.errors import ConfigError
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, SIZE_MULTIPLE
from galago.training.config import PRECISIONS, TrainConfig


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Settings of one pre-training.

    Attributes:
        variant: network size, as `b0`.
        epochs, batch_size, weight_decay, warmup_epochs, gradient_clip, ema_decay, drop_path, label_smoothing, mean, std,
            precision, workers, seed, validate_every, save_every: as in TrainConfig.
        peak_learning_rate: AdamW's, for the whole batch.
        layer_decay: 1, one rate for all.
        sizes: pixels of the square photos, one drawn for each step; the largest is that of validation.
        min_area: smallest share of a photo that a view shows.
        flip: probability of a mirror image.
        color: strength of random brightness, contrast, gamma, saturation and hue, 0 to 1.
        mixup, cutmix: probability that a batch is blended with itself, or gets rectangles of itself.
    """

    variant: str = "b0"
    epochs: int = 320
    batch_size: int = 128
    peak_learning_rate: float = 2.5e-4
    layer_decay: float = 1.0
    weight_decay: float = 0.1
    warmup_epochs: float = 20.0
    gradient_clip: float = 2.0
    ema_decay: float = 0.9998
    drop_path: float = 0.05
    label_smoothing: float = 0.1
    sizes: tuple[int, ...] = (128, 160, 192, 224)
    min_area: float = 0.08
    flip: float = 0.5
    color: float = 0.4
    mixup: float = 0.1
    cutmix: float = 0.1
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: str = "auto"
    workers: int = 2
    seed: int = 0
    validate_every: int = 5
    save_every: int = 1

    def __post_init__(self) -> None:
        if not self.sizes or any(size <= 0 or size % SIZE_MULTIPLE for size in self.sizes):
            raise ConfigError(f"sizes needs multiples of {SIZE_MULTIPLE}, got {self.sizes}.")
        for name in ("epochs", "batch_size", "peak_learning_rate", "gradient_clip", "validate_every", "save_every"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} needs to be positive, got {getattr(self, name)}.")
        for name in ("flip", "color", "mixup", "cutmix", "drop_path", "label_smoothing", "ema_decay", "min_area", "layer_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} needs to lie between 0 and 1, got {getattr(self, name)}.")
        if self.batch_size == 1 and SIZE_MULTIPLE in self.sizes:
            raise ConfigError(
                "One photo of 32 x 32 gives BatchNorm a single value per channel. Use a larger batch or larger sizes."
            )
        if self.mixup + self.cutmix > 1:
            raise ConfigError(f"mixup and cutmix share one draw, so their sum is at most 1, got {self.mixup + self.cutmix}.")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"Unknown precision {self.precision!r}. Choose one of: {', '.join(PRECISIONS)}.")


Config = TrainConfig | ClassifyConfig
