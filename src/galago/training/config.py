"""TrainConfig and PretrainConfig: all settings of a run, as flat values that check themselves."""

import dataclasses
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from galago.errors import ConfigError, choose
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, SIZE_MULTIPLE

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
BEST_BY = ("main", "mean")

# Names of settings in galago 0.1, which files of its runs and people's commands still use.
RENAMED = {
    "accumulate": "grad_accum_steps",
    "checkpointing": "activation_checkpointing",
    "color": "color_jitter",
    "distill": "distill_weight",
    "gradient_clip": "max_grad_norm",
    "hardest": "ohem_ratio",
    "loss_stride": "loss_subsampling",
    "max_stretch": "aspect_jitter",
    "mix": "extra_data_ratio",
    "rare_crop": "class_balanced_crop",
}
# Settings of galago 0.1 that are gone, and the value that switched each one off. None of them
# improved a run: see docs/log.md.
REMOVED: Mapping[str, float] = {
    "cast": 0.0,
    "distill_features": 0.0,
    "label_smoothing": 0.0,  # of TrainConfig; PretrainConfig has it
    "lovasz_weight": 0.0,
    "paste": 0.0,
    "random_filter": 0.0,
    "shade": 0.0,
    "style_mix": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training run; `recipes.py` holds those that we publish.

    Attributes:
        variant: network size, for example `b0`.
        head: shape of the head, a key of models.variants.SEG_HEADS, or None for the variant's own.
        epochs: passes over the training images.
        batch_size: images per step, over all processes together.
        grad_accum_steps: pieces of a batch whose gradients are added up one after the other, where
            memory is short; BatchNorm sees one piece at a time.
        crop_size: (height, width) in pixels that the network sees in training, each a multiple of
            32.
        short_side: pixels to which the short side of every image is resized, in training and by
            the trained model; None keeps images as they are.
        peak_learning_rate: AdamW's, reached after warm-up, then cosine decay to zero.
        layer_decay: for fine-tuning: each stage of the backbone has this times the learning rate of
            the next one; 1 gives all the same.
        weight_decay: AdamW's, for convolution weights; norms and biases have none.
        warmup_epochs: epochs of linear warm-up, at most half of all epochs.
        max_grad_norm: the gradient of a step is clipped to this norm.
        ema_decay: of the exponential moving average of the weights, which is evaluated and saved.
        min_scale, max_scale: range of the random scale before the crop, uniform in its logarithm.
        aspect_jitter: largest random change of the aspect ratio, as a factor.
        flip: probability of a horizontal flip.
        class_balanced_crop: probability that a crop is placed around a pixel of a random class of
            the image, each class equally likely.
        color_jitter: strength of random brightness, contrast, gamma, saturation and hue, 0 to 1.
        blur_noise: probability of blur and, independently, of sensor noise.
        extra_data_ratio: share of the samples that are drawn from the extra data, where there is
            any; set by --extra-data.
        drop_path: probability that a sample skips the last residual block; it grows linearly from
            0 at the first one.
        ohem_ratio: online hard example mining: share of each image's pixels that count in the
            cross-entropy, those with the largest loss.
        class_balance: exponent of the class weights, (median frequency / frequency) **
            class_balance; 0 weighs all classes alike.
        hidden_weight: how much the probability of a class counts that may hide under a label
            (`not_labeled` of a data set): 1 does not penalize it, less favors the class that the
            label names.
        dice_weight: weight of the soft Dice loss beside the cross-entropy.
        loss_subsampling: the loss is computed at every n-th pixel of every n-th row, shifted at
            random each step.
        auxiliary_weight: weight of the losses of two auxiliary heads on the last two stages, in
            training only.
        distill_weight: weight of the distance to the teacher's class probabilities, where there is
            a teacher.
        temperature: divides the logits of student and teacher in distillation.
        mean, std: of the RGB channels on a scale of 0 to 1, for normalization.
        precision: `float32`, `bfloat16` (autocast), `float16` (autocast and scaled losses, on
            GPUs), or `auto`: bfloat16 where the device computes it natively.
        activation_checkpointing: compute the backbone's activations twice instead of keeping them,
            where memory is short.
        compile: whether torch.compile fuses operators; the first steps take minutes.
        workers: processes that read and augment images.
        seed: of everything random.
        validate_every: epochs between validations.
        patience: early stopping: validations without a better mean IoU after which the run ends;
            0 never stops early.
        best_by: what chooses the best weights where several data sets are scored: `main`, the mean
            IoU on the validation images of the main one, or `mean`, the mean over all sets.
        save_every: epochs between saved states, from which an interrupted run is resumed.
        tensorboard: whether to write curves and images for TensorBoard.
    """

    variant: str = "b0"
    head: str | None = None
    epochs: int = 240
    batch_size: int = 8
    grad_accum_steps: int = 1
    crop_size: tuple[int, int] = (352, 480)
    short_side: int | None = None
    peak_learning_rate: float = 2e-3
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    warmup_epochs: float = 3.0
    max_grad_norm: float = 2.0
    ema_decay: float = 0.998
    min_scale: float = 0.5
    max_scale: float = 2.0
    aspect_jitter: float = 1.15
    flip: float = 0.5
    class_balanced_crop: float = 0.5
    color_jitter: float = 0.5
    blur_noise: float = 0.15
    extra_data_ratio: float = 0.0
    drop_path: float = 0.0
    ohem_ratio: float = 1.0
    class_balance: float = 0.0
    hidden_weight: float = 1.0
    dice_weight: float = 0.5
    loss_subsampling: int = 2
    auxiliary_weight: float = 0.4
    distill_weight: float = 1.0
    temperature: float = 2.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: str = "auto"
    activation_checkpointing: bool = False
    compile: bool = False
    workers: int = 1
    seed: int = 0
    validate_every: int = 5
    patience: int = 0
    best_by: str = "main"
    save_every: int = 1
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if len(self.crop_size) != 2 or any(_is_no_side(side) for side in self.crop_size):
            raise ConfigError(
                f"crop_size needs multiples of {SIZE_MULTIPLE} as (height, width), got "
                f"{self.crop_size}."
            )
        if self.short_side is not None and self.short_side < SIZE_MULTIPLE:
            raise ConfigError(
                f"short_side needs {SIZE_MULTIPLE} or more pixels, got {self.short_side}."
            )
        _check_positive(
            self,
            "epochs batch_size grad_accum_steps validate_every save_every loss_subsampling "
            "peak_learning_rate max_grad_norm temperature",
        )
        _check_not_negative(
            self,
            "workers patience warmup_epochs weight_decay dice_weight auxiliary_weight "
            "class_balance distill_weight",
        )
        _check_probabilities(
            self, "flip class_balanced_crop color_jitter blur_noise extra_data_ratio"
        )
        for name in ("ema_decay", "drop_path"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} needs to be in [0, 1), got {getattr(self, name)}.")
        for name in ("ohem_ratio", "layer_decay", "hidden_weight"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} needs to be in (0, 1], got {getattr(self, name)}.")
        if self.batch_size % self.grad_accum_steps:
            raise ConfigError(
                f"A batch of {self.batch_size} images cannot be cut into {self.grad_accum_steps} "
                "equal pieces."
            )
        if not 0 < self.min_scale <= self.max_scale or self.aspect_jitter < 1:
            raise ConfigError(
                "Expected 0 < min_scale <= max_scale and aspect_jitter >= 1, "
                f"got {self.min_scale}, {self.max_scale}, {self.aspect_jitter}."
            )
        one_image = self.batch_size == self.grad_accum_steps
        if one_image and self.crop_size == (SIZE_MULTIPLE, SIZE_MULTIPLE):
            raise ConfigError(
                "One crop of 32 x 32 at a time gives BatchNorm a single value per channel. "
                "Use a larger batch or crop, or a smaller grad_accum_steps."
            )
        if not all(value > 0 for value in self.std):
            raise ConfigError(f"std needs three positive numbers, got {self.std}.")
        _check_choice(self.best_by, BEST_BY, "best_by")
        _check_choice(self.precision, PRECISIONS, "precision")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Settings of one pre-training of a backbone as an image classifier.

    Attributes:
        variant: network size, for example `b0`.
        epochs, batch_size, weight_decay, warmup_epochs, max_grad_norm, ema_decay, drop_path, mean,
            std, precision, workers, seed, validate_every, patience, save_every: as in TrainConfig.
        peak_learning_rate: AdamW's, for the whole batch.
        layer_decay: 1, the same learning rate for all stages.
        label_smoothing: probability that the target gives to all classes alike.
        sizes: side lengths in pixels of the square input, one drawn for each step; the largest is
            that of validation.
        min_area: smallest share of an image that a random resized crop shows.
        flip: probability of a horizontal flip.
        color_jitter: strength of random brightness, contrast, gamma, saturation and hue, 0 to 1.
        mixup, cutmix: probability of each for a batch.
    """

    variant: str = "b0"
    epochs: int = 320
    batch_size: int = 128
    peak_learning_rate: float = 2.5e-4
    layer_decay: float = 1.0
    weight_decay: float = 0.1
    warmup_epochs: float = 20.0
    max_grad_norm: float = 2.0
    ema_decay: float = 0.9998
    drop_path: float = 0.05
    label_smoothing: float = 0.1
    sizes: tuple[int, ...] = (128, 160, 192, 224)
    min_area: float = 0.08
    flip: float = 0.5
    color_jitter: float = 0.4
    mixup: float = 0.1
    cutmix: float = 0.1
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: str = "auto"
    workers: int = 2
    seed: int = 0
    validate_every: int = 5
    patience: int = 0
    save_every: int = 1

    def __post_init__(self) -> None:
        if not self.sizes or any(_is_no_side(size) for size in self.sizes):
            raise ConfigError(f"sizes needs multiples of {SIZE_MULTIPLE}, got {self.sizes}.")
        _check_positive(
            self, "epochs batch_size peak_learning_rate max_grad_norm validate_every save_every"
        )
        _check_not_negative(self, "workers patience")
        _check_probabilities(
            self,
            "flip color_jitter mixup cutmix drop_path label_smoothing ema_decay min_area "
            "layer_decay",
        )
        if self.batch_size == 1 and SIZE_MULTIPLE in self.sizes:
            raise ConfigError(
                "One image of 32 x 32 gives BatchNorm a single value per channel. Use a larger "
                "batch or larger sizes."
            )
        if self.mixup + self.cutmix > 1:
            raise ConfigError(
                "mixup and cutmix share one draw, so their sum is at most 1, got "
                f"{self.mixup + self.cutmix}."
            )
        _check_choice(self.precision, PRECISIONS, "precision")


Config = TrainConfig | PretrainConfig


def _is_no_side(pixels: int) -> bool:
    return pixels <= 0 or pixels % SIZE_MULTIPLE != 0


def _check_positive(config: Config, names: str) -> None:
    for name in names.split():
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name} needs to be positive, got {getattr(config, name)}.")


def _check_not_negative(config: Config, names: str) -> None:
    for name in names.split():
        if getattr(config, name) < 0:
            raise ConfigError(f"{name} cannot be negative, got {getattr(config, name)}.")


def _check_probabilities(config: Config, names: str) -> None:
    for name in names.split():
        if not 0 <= getattr(config, name) <= 1:
            raise ConfigError(f"{name} needs to be between 0 and 1, got {getattr(config, name)}.")


def _check_choice(value: str, choices: Sequence[str], name: str) -> None:
    if value not in choices:
        raise ConfigError(f"Unknown {name} {value!r}. Choose one of: {', '.join(choices)}.")


def parse_settings(texts: Sequence[str], config: type[Config] = TrainConfig) -> dict[str, Any]:
    """Return settings given as text, with values of the types that a config has.

    Args:
        texts: each `name=value`, for example `epochs=40`, `crop_size=192x256` or `head=none`; names
            of galago 0.1 are understood, too.
        config: the class whose fields may be set.
    Raises:
        ConfigError: a text has another form, an unknown or removed name, or a value of another
            type.
    """
    hints = get_type_hints(config)
    fields = {field.name: field for field in dataclasses.fields(config)}
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(
                f"Expected a setting as name=value, for example epochs=40, got {text!r}."
            )
        if name in REMOVED and name not in fields:
            raise ConfigError(
                f"The setting {name} was removed, as it did not improve any run. Leave it out."
            )
        name = RENAMED.get(name, name)
        choose(fields, name, "setting")
        settings[name] = _parse(value, hints[name], text)
    return settings


def renamed_settings(texts: Iterable[str]) -> dict[str, str]:
    """Return the names of galago 0.1 among settings given as `name=value`, with today's names."""
    names = (text.partition("=")[0] for text in texts)
    return {name: RENAMED[name] for name in names if name in RENAMED}


def _parse(value: str, hint: Any, text: str) -> Any:
    if get_origin(hint) is types.UnionType:
        return None if value.lower() == "none" else _parse(value, get_args(hint)[0], text)
    try:
        if get_origin(hint) is tuple:
            kinds, parts = get_args(hint), re.split("[x,]", value)
            if kinds[-1] is Ellipsis:
                kinds = kinds[:1] * len(parts)
            return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
        if hint is bool:
            return {"true": True, "false": False}[value.lower()]
        return hint(value)
    except (ValueError, KeyError) as error:
        kind = "true or false" if hint is bool else getattr(hint, "__name__", str(hint))
        raise ConfigError(f"The setting {text!r} needs a value of type {kind}.") from error


def upgrade_settings(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a run recorded, under today's names.

    A setting that is gone is dropped where it was off, and kept under its old name otherwise.
    """
    settings = {RENAMED.get(name, name): value for name, value in recorded.items()}
    pretrained = "mixup" in settings  # of a PretrainConfig
    for name, off in REMOVED.items():
        if settings.get(name) == off and not (pretrained and name == "label_smoothing"):
            del settings[name]
    return settings
