"""The runs we publish, each a function that returns its settings."""

import dataclasses
from collections.abc import Callable, Mapping

from galago.training.config import ClassifyConfig, TrainConfig


def folder() -> TrainConfig:
    """Return the recipe for a few hundred photos of one's own, of any size: the network works on a
    short side of 512 pixels.
    """
    return TrainConfig(
        epochs=120, crop_size=(512, 512), short_side=512, min_scale=0.6, rare_crop=0.3
    )


def plain() -> TrainConfig:
    """Return the yardstick: zoom, crop, mirror, color, cross-entropy and a moving average, nothing
    that favors rare classes.
    """
    return TrainConfig(
        epochs=120,
        rare_crop=0.0,
        blur_noise=0.0,
        dice_weight=0.0,
        auxiliary_weight=0.0,
        color=0.4,
        max_stretch=1.0,
    )


def camvid() -> TrainConfig:
    """Return the recipe for about 370 street photos of 360 x 480.

    The bundled `b0-camvid` was made in three stages, the last of which is this recipe for 110
    epochs with 30% drawn scenes, `--extra-data scenes:3000:0.3`, still without weights of classes;
    docs/log.md has the settings of all three.
    """
    return TrainConfig(epochs=130, min_scale=0.6, rare_crop=0.3, class_balance=0.25)


def scenes() -> TrainConfig:
    """Return the pre-training on drawn street scenes (scenes/dataset.py): few epochs over many
    scenes.
    """
    return TrainConfig(
        epochs=12, rare_crop=0.25, min_scale=0.7, max_scale=1.6, warmup_epochs=0.5, validate_every=4
    )


def cityscapes() -> TrainConfig:
    """Return a recipe for Cityscapes (2975 photos of 1024 x 2048) with crops of 512 x 1024.

    Not yet run in full.

    Epochs and OHEM follow the from-scratch recipes that reproduce (about 160,000 steps of 8 crops);
    the other settings are ours.
    """
    return TrainConfig(
        epochs=430,
        batch_size=16,
        crop_size=(512, 1024),
        peak_learning_rate=1e-3,
        ema_decay=0.9998,
        hardest=0.3,
        drop_path=0.05,
        workers=8,
        validate_every=10,
    )


def cityscapes_large() -> TrainConfig:
    """Return the recipe `cityscapes` with crops of 1024 x 1024, for a little more accuracy at twice
    the time; not yet run.
    """
    return dataclasses.replace(cityscapes(), crop_size=(1024, 1024))


def ade20k() -> TrainConfig:
    """Return a recipe for ADE20K (20,210 photos, 150 classes), short side 512 as in the authors'
    evaluation; not yet run.

    Its length is that of most published ones, 160,000 steps of 16 crops. Most classes are absent
    from most batches, which makes Dice noisy, so it has little weight.
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


def imagenet() -> ClassifyConfig:
    """Return the authors' pre-training of a backbone, for ImageNet or other photos in class
    folders; not yet run in full.
    """
    return ClassifyConfig(workers=8)


CLASSIFY_RECIPES: Mapping[str, Callable[[], ClassifyConfig]] = {"imagenet": imagenet}
RECIPES: Mapping[str, Callable[[], TrainConfig]] = {
    "folder": folder,
    "plain": plain,
    "camvid": camvid,
    "scenes": scenes,
    "cityscapes": cityscapes,
    "cityscapes-large": cityscapes_large,
    "ade20k": ade20k,
}
