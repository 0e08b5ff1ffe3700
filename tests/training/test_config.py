import pytest

pytest.importorskip("torch")

from galago.errors import ConfigError
from galago.training.config import TrainConfig
from galago.training.recipes import RECIPES

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"crop_size": (100, 480)}, "crop_size needs multiples of 32 as"),
        ({"crop_size": (0, 480)}, "crop_size needs multiples of 32 as"),
        ({"crop_size": (64,)}, "crop_size needs multiples of 32 as"),
        ({"epochs": 0}, "epochs needs to be positive, got 0"),
        ({"batch_size": -1}, "batch_size needs to be positive, got -1"),
        ({"validate_every": 0}, "validate_every needs to be positive"),
        ({"loss_stride": 0}, "loss_stride needs to be positive"),
        ({"peak_learning_rate": 0.0}, "peak_learning_rate needs to be positive"),
        ({"gradient_clip": 0.0}, "gradient_clip needs to be positive"),
        ({"flip": 1.5}, "flip needs to lie between 0 and 1, got 1.5"),
        ({"rare_crop": -0.1}, "rare_crop needs to lie between 0 and 1"),
        ({"color": 2.0}, "color needs to lie between 0 and 1"),
        ({"blur_noise": 2.0}, "blur_noise needs to lie between 0 and 1"),
        ({"ema_decay": 1.0}, r"ema_decay needs to lie in \[0, 1\), got 1.0"),
        ({"min_scale": 0.0}, "Expected 0 < min_scale <= max_scale"),
        ({"min_scale": 3.0}, "Expected 0 < min_scale <= max_scale"),
        ({"max_stretch": 0.5}, "max_stretch >= 1"),
        ({"workers": -1}, "workers cannot be negative, got -1"),
        ({"warmup_epochs": -1.0}, "warmup_epochs cannot be negative"),
        ({"weight_decay": -1.0}, "weight_decay cannot be negative"),
        ({"dice_weight": -1.0}, "dice_weight cannot be negative"),
        ({"auxiliary_weight": -1.0}, "auxiliary_weight cannot be negative"),
        ({"batch_size": 1, "crop_size": (32, 32)}, "a single value per channel"),
        ({"std": (0.2, 0.0, 0.2)}, "std needs three positive numbers"),
        ({"precision": "int8"}, "Unknown precision 'int8'. Choose one of: auto, float32, bfloat16"),
    ],
)
def test_a_bad_setting_is_refused(setting: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**setting)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_a_valid_config(name: str):
    assert isinstance(RECIPES[name](), TrainConfig)
