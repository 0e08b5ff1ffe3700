"""What a training run is told: one flat value that checks itself."""

from dataclasses import dataclass

from galago.errors import ConfigError
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, SIZE_MULTIPLE

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
CHOOSERS = ("main", "mean")
POSITIVE = (
    "epochs",
    "batch_size",
    "accumulate",
    "validate_every",
    "save_every",
    "loss_stride",
    "peak_learning_rate",
    "gradient_clip",
    "temperature",
)
WEIGHTS = (
    "workers",
    "patience",
    "warmup_epochs",
    "weight_decay",
    "dice_weight",
    "lovasz_weight",
    "auxiliary_weight",
    "class_balance",
    "distill",
    "distill_features",
)
SHARES = ("ema_decay", "drop_path", "label_smoothing")
PROBABILITIES = (
    "flip",
    "rare_crop",
    "color",
    "cast",
    "shade",
    "random_filter",
    "blur_noise",
    "paste",
    "mix",
    "style_mix",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run; `recipes.py` holds those that we publish.

    Attributes:
        variant: network size, as `b0`.
        head: shape of the head, a key of models.variants.SEG_HEADS, or None for the variant's own.
        epochs: passes over the training photos.
        batch_size: photos per step, over all processes together.
        accumulate: pieces of a batch whose gradients are added up one after the other, where memory
            is short; norms see a piece.
        crop_size: (height, width) in pixels that the network sees in training, each a multiple of
            32.
        short_side: pixels to which the short side of every photo is brought first, in training and
            by the trained model, or None for photos as they are.
        peak_learning_rate: AdamW's, reached after warm-up, then cosine decay to zero.
        layer_decay: the rate of each stage of the backbone is this times that of the next one, for
            fine-tuning; 1 is one rate.
        weight_decay: AdamW's, for convolution weights; norms and biases have none.
        warmup_epochs: epochs of linear warm-up; at most half of all epochs are.
        gradient_clip: largest norm of all gradients together.
        ema_decay: of the moving average of the weights, which is what is evaluated and kept.
        min_scale, max_scale: range of the random zoom before the crop, drawn on a log scale.
        max_stretch: largest random change of the aspect ratio, as a factor.
        flip: probability of a mirror image.
        rare_crop: probability that a crop is laid around a pixel of a rare class, each class of the
            photo drawn alike.
        color: strength of random brightness, contrast, gamma, saturation and hue, 0 to 1.
        cast: strength of random white balance and exposure, 0 to 1.
        shade: probability of uneven light.
        random_filter: probability of a random convolution of the photo, which changes textures and
            colors but no shapes.
        blur_noise: probability of blur and, independently, of sensor noise.
        paste: probability that small things of another photo are pasted into a view.
        mix: share of the views that are drawn from the data set that is mixed in, where there is
            one.
        drop_path: probability that a sample skips the last residual block; it grows linearly from 0
            at the first one.
        style_mix: probability that samples of a batch exchange the mean and the contrast of their
            first features.
        hardest: share of each photo's pixels that the cross-entropy looks at, those with the
            largest loss.
        class_balance: exponent of the weights of classes, (median frequency / frequency) **
            class_balance; 0 weighs none.
        label_smoothing: probability that the target gives to all classes alike.
        hidden_weight: what the probability of a class counts that may hide under a label
            (`not_labeled` of a data set): 1 does not punish it at all, less leans towards the class
            that the label names.
        dice_weight: weight of the soft Dice loss beside cross-entropy.
        lovasz_weight: weight of the Lovasz-softmax loss beside cross-entropy.
        loss_stride: the loss looks at every `loss_stride`-th pixel of every `loss_stride`-th row,
            shifted at random each step.
        auxiliary_weight: weight of the losses of two extra classifiers on the last two stages, in
            training only.
        distill: weight of the distance to a teacher's class probabilities, where there is a
            teacher.
        distill_features: weight of the distance to the features of a teacher's last two stages.
        temperature: softens the class probabilities of network and teacher.
        mean, std: of the RGB channels on a scale of 0 to 1, for normalization.
        precision: `float32`, `bfloat16` (autocast), `float16` (autocast and scaled losses, on
            GPUs), or `auto`: bfloat16 where the device computes it natively.
        checkpointing: compute inner maps of the backbone twice instead of keeping them, where
            memory is short.
        compile: let torch.compile fuse operators; the first steps take minutes.
        workers: processes that read and augment photos.
        seed: of everything random.
        validate_every: epochs between evaluations.
        patience: validations without a better mean IoU after which the run ends early; 0 = never.
        best_by: what chooses the best weights where several data sets are scored: `main`, the mean
            IoU on the validation images of the main one, or `mean`, the mean over all sets.
        save_every: epochs between saved states, from which a run that was cut off goes on.
        tensorboard: whether curves and pictures are written for TensorBoard, too.
    """

    variant: str = "b0"
    head: str | None = None
    epochs: int = 240
    batch_size: int = 8
    accumulate: int = 1
    crop_size: tuple[int, int] = (352, 480)
    short_side: int | None = None
    peak_learning_rate: float = 2e-3
    layer_decay: float = 1.0
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
    cast: float = 0.0
    shade: float = 0.0
    random_filter: float = 0.0
    blur_noise: float = 0.15
    paste: float = 0.0
    mix: float = 0.0
    drop_path: float = 0.0
    style_mix: float = 0.0
    hardest: float = 1.0
    class_balance: float = 0.0
    label_smoothing: float = 0.0
    hidden_weight: float = 1.0
    dice_weight: float = 0.5
    lovasz_weight: float = 0.0
    loss_stride: int = 2
    auxiliary_weight: float = 0.4
    distill: float = 1.0
    distill_features: float = 0.0
    temperature: float = 2.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: str = "auto"
    checkpointing: bool = False
    compile: bool = False
    workers: int = 1
    seed: int = 0
    validate_every: int = 5
    patience: int = 0
    best_by: str = "main"
    save_every: int = 1
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if len(self.crop_size) != 2 or any(
            side <= 0 or side % SIZE_MULTIPLE for side in self.crop_size
        ):
            raise ConfigError(
                f"crop_size needs multiples of {SIZE_MULTIPLE} as (height, width), got "
                f"{self.crop_size}."
            )
        if self.short_side is not None and self.short_side < SIZE_MULTIPLE:
            raise ConfigError(
                f"short_side needs {SIZE_MULTIPLE} or more pixels, got {self.short_side}."
            )
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} needs to be positive, got {getattr(self, name)}.")
        for name in WEIGHTS:
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} cannot be negative, got {getattr(self, name)}.")
        for name in PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} needs to lie between 0 and 1, got {getattr(self, name)}."
                )
        for name in SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} needs to lie in [0, 1), got {getattr(self, name)}.")
        for name in ("hardest", "layer_decay", "hidden_weight"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} needs to lie in (0, 1], got {getattr(self, name)}.")
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"A batch of {self.batch_size} photos cannot be cut into {self.accumulate} equal "
                "pieces."
            )
        if not 0 < self.min_scale <= self.max_scale or self.max_stretch < 1:
            raise ConfigError(
                "Expected 0 < min_scale <= max_scale and max_stretch >= 1, "
                f"got {self.min_scale}, {self.max_scale}, {self.max_stretch}."
            )
        if self.batch_size == self.accumulate and self.crop_size == (SIZE_MULTIPLE, SIZE_MULTIPLE):
            raise ConfigError(
                "One crop of 32 x 32 at a time gives BatchNorm a single value per channel. "
                "Use a larger batch or crop, or a smaller accumulate."
            )
        if not all(value > 0 for value in self.std):
            raise ConfigError(f"std needs three positive numbers, got {self.std}.")
        if self.best_by not in CHOOSERS:
            raise ConfigError(
                f"Unknown best_by {self.best_by!r}. Choose one of: {', '.join(CHOOSERS)}."
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"Unknown precision {self.precision!r}. Choose one of: {', '.join(PRECISIONS)}."
            )


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Settings of one pre-training.

    Attributes:
        variant: network size, as `b0`.
        epochs, batch_size, weight_decay, warmup_epochs, gradient_clip, ema_decay, drop_path,
            label_smoothing, mean, std, precision, workers, seed, validate_every, save_every: as in
            TrainConfig.
        peak_learning_rate: AdamW's, for the whole batch.
        layer_decay: 1, one rate for all.
        sizes: pixels of the square photos, one drawn for each step; the largest is that of
            validation.
        min_area: smallest share of a photo that a view shows.
        flip: probability of a mirror image.
        color: strength of random brightness, contrast, gamma, saturation and hue, 0 to 1.
        mixup, cutmix: probability that a batch is blended with itself, or gets rectangles of
            itself.
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
        for name in (
            "epochs",
            "batch_size",
            "peak_learning_rate",
            "gradient_clip",
            "validate_every",
            "save_every",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} needs to be positive, got {getattr(self, name)}.")
        for name in (
            "flip",
            "color",
            "mixup",
            "cutmix",
            "drop_path",
            "label_smoothing",
            "ema_decay",
            "min_area",
            "layer_decay",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} needs to lie between 0 and 1, got {getattr(self, name)}."
                )
        if self.batch_size == 1 and SIZE_MULTIPLE in self.sizes:
            raise ConfigError(
                "One photo of 32 x 32 gives BatchNorm a single value per channel. Use a larger "
                "batch or larger sizes."
            )
        if self.mixup + self.cutmix > 1:
            raise ConfigError(
                "mixup and cutmix share one draw, so their sum is at most 1, got "
                f"{self.mixup + self.cutmix}."
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"Unknown precision {self.precision!r}. Choose one of: {', '.join(PRECISIONS)}."
            )


Config = TrainConfig | ClassifyConfig
