"""The training runs that we publish, each a function that returns its settings."""

import dataclasses
from collections.abc import Callable, Mapping

from galago.training.config import PretrainConfig, TrainConfig


def folder() -> TrainConfig:
    """Return the recipe for a few hundred images of your own, of any size.

    The network sees them with a short side of 512 pixels.
    """
    return TrainConfig(
        epochs=120, crop_size=(512, 512), short_side=512, min_scale=0.6, class_balanced_crop=0.3
    )


def plain() -> TrainConfig:
    """Return the baseline: scale, crop, flip, colors, cross-entropy and a moving average.

    Nothing in it favors rare classes.
    """
    return TrainConfig(
        epochs=120,
        class_balanced_crop=0.0,
        blur_noise=0.0,
        dice_weight=0.0,
        auxiliary_weight=0.0,
        color_jitter=0.4,
        aspect_jitter=1.0,
    )


def camvid() -> TrainConfig:
    """Return the recipe for about 370 street images of 360 x 480.

    The bundled `b0-camvid` was trained in three stages. The last one is this recipe for 110 epochs
    with 30% synthetic scenes, `--extra-data scenes:3000:0.3`, and no class weights; docs/log.md
    has the settings of all three.
    """
    return TrainConfig(epochs=130, min_scale=0.6, class_balanced_crop=0.3, class_balance=0.25)


def scenes() -> TrainConfig:
    """Return the recipe for synthetic street scenes: few epochs over many scenes."""
    return TrainConfig(
        epochs=12,
        class_balanced_crop=0.25,
        min_scale=0.7,
        max_scale=1.6,
        warmup_epochs=0.5,
        validate_every=4,
    )


def cityscapes() -> TrainConfig:
    """Return a recipe for Cityscapes (2975 images of 1024 x 2048) with crops of 512 x 1024.

    Not yet run in full. Epochs and OHEM follow the from-scratch recipes that reproduce (about
    160,000 steps of 8 crops); the other settings are ours.
    """
    return TrainConfig(
        epochs=430,
        batch_size=16,
        crop_size=(512, 1024),
        peak_learning_rate=1e-3,
        ema_decay=0.9998,
        ohem_ratio=0.3,
        drop_path=0.05,
        workers=8,
        validate_every=10,
    )


def cityscapes_large() -> TrainConfig:
    """Return the recipe `cityscapes` with crops of 1024 x 1024, at twice the time; not yet run."""
    return dataclasses.replace(cityscapes(), crop_size=(1024, 1024))


def ade20k() -> TrainConfig:
    """Return a recipe for ADE20K (20,210 images, 150 classes), not yet run.

    The short side is 512 as in the authors' evaluation, the length that of most published runs,
    160,000 steps of 16 crops. Most classes are absent from most batches, which makes Dice noisy,
    so it has little weight.
    """
    return TrainConfig(
        epochs=127,
        batch_size=16,
        crop_size=(512, 512),
        short_side=512,
        peak_learning_rate=1e-3,
        ema_decay=0.9998,
        dice_weight=0.1,
        drop_path=0.05,
        workers=8,
    )


def imagenet() -> PretrainConfig:
    """Return the authors' pre-training of a backbone on ImageNet or other class folders.

    Not yet run in full.
    """
    return PretrainConfig(workers=8)


PRETRAIN_RECIPES: Mapping[str, Callable[[], PretrainConfig]] = {"imagenet": imagenet}
RECIPES: Mapping[str, Callable[[], TrainConfig]] = {
    "folder": folder,
    "plain": plain,
    "camvid": camvid,
    "scenes": scenes,
    "cityscapes": cityscapes,
    "cityscapes-large": cityscapes_large,
    "ade20k": ade20k,
}
