"""The runs we publish, each a function that returns its settings."""

from collections.abc import Callable, Mapping

from galago.training.config import TrainConfig


def plain() -> TrainConfig:
    """Return the yardstick: zoom, crop, mirror, color, cross-entropy and a moving average, nothing that favors rare classes."""
    return TrainConfig(
        epochs=120, rare_crop=0.0, blur_noise=0.0, dice_weight=0.0, auxiliary_weight=0.0, color=0.4, max_stretch=1.0
    )


def camvid() -> TrainConfig:
    """Return the recipe of the bundled `b0-camvid`: about 370 street photos of 360 x 480, from random or pre-trained weights."""
    return TrainConfig(epochs=130, min_scale=0.6, rare_crop=0.3)


def scenes() -> TrainConfig:
    """Return the pre-training on drawn street scenes (data/scenes.py): few epochs over many scenes."""
    return TrainConfig(epochs=12, rare_crop=0.25, min_scale=0.7, max_scale=1.6, warmup_epochs=0.5, validate_every=4)


RECIPES: Mapping[str, Callable[[], TrainConfig]] = {"plain": plain, "camvid": camvid, "scenes": scenes}
