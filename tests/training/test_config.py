import pytest

pytest.importorskip("torch")

from galago.errors import ConfigError
from galago.training.config import (
    REMOVED,
    RENAMED,
    PretrainConfig,
    TrainConfig,
    parse_settings,
    renamed_settings,
    upgrade_settings,
)
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
        ({"loss_subsampling": 0}, "loss_subsampling needs to be positive"),
        ({"peak_learning_rate": 0.0}, "peak_learning_rate needs to be positive"),
        ({"max_grad_norm": 0.0}, "max_grad_norm needs to be positive"),
        ({"flip": 1.5}, "flip needs to be between 0 and 1, got 1.5"),
        ({"class_balanced_crop": -0.1}, "class_balanced_crop needs to be between 0 and 1"),
        ({"color_jitter": 2.0}, "color_jitter needs to be between 0 and 1"),
        ({"blur_noise": 2.0}, "blur_noise needs to be between 0 and 1"),
        ({"ema_decay": 1.0}, r"ema_decay needs to be in \[0, 1\), got 1.0"),
        ({"min_scale": 0.0}, "Expected 0 < min_scale <= max_scale"),
        ({"min_scale": 3.0}, "Expected 0 < min_scale <= max_scale"),
        ({"aspect_jitter": 0.5}, "aspect_jitter >= 1"),
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


def test_values_get_the_types_of_their_settings():
    texts = [
        "epochs=40",
        "crop_size=192x256",
        "color_jitter=1",
        "variant=b1",
        "head=none",
        "mean=0.5,0.4,0.3",
    ]
    assert parse_settings(texts) == {
        "epochs": 40,
        "crop_size": (192, 256),
        "color_jitter": 1.0,
        "variant": "b1",
        "head": None,
        "mean": (0.5, 0.4, 0.3),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", "Expected a setting as name=value, for example epochs=40, got 'epochs'"),
        ("epoch=4", "Unknown setting 'epoch'"),
        ("epochs=4.5", "The setting 'epochs=4.5' needs a value of type int"),
        ("crop_size=192", "The setting 'crop_size=192' needs a value of type"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        parse_settings([text])


def test_settings_of_galago_0_1_get_their_new_names():
    texts = ["rare_crop=0.2", "epochs=3", "gradient_clip=1"]
    assert parse_settings(texts) == {"class_balanced_crop": 0.2, "epochs": 3, "max_grad_norm": 1.0}
    assert renamed_settings(texts) == {
        "rare_crop": "class_balanced_crop",
        "gradient_clip": "max_grad_norm",
    }


@pytest.mark.parametrize("name", sorted(REMOVED))
def test_a_removed_setting_is_an_error_that_says_so(name: str):
    with pytest.raises(ConfigError, match=f"The setting {name} was removed, as it did not improve"):
        parse_settings([f"{name}=0.5"])


def test_pre_training_keeps_its_label_smoothing():
    assert parse_settings(["label_smoothing=0.2"], PretrainConfig) == {"label_smoothing": 0.2}
    assert upgrade_settings(vars(PretrainConfig(label_smoothing=0.0)))["label_smoothing"] == 0.0


def test_recorded_settings_keep_what_is_gone_only_if_it_was_in_use():
    recorded = {"color": 0.4, "paste": 0.0, "cast": 0.3, "label_smoothing": 0.0, "epochs": 2}
    assert upgrade_settings(recorded) == {"color_jitter": 0.4, "cast": 0.3, "epochs": 2}


def test_old_names_lead_to_settings_that_exist():
    fields = TrainConfig.__dataclass_fields__
    assert all(new in fields and old not in fields for old, new in RENAMED.items())
    assert not REMOVED.keys() & fields.keys()


def test_one_crop_of_32_x_32_at_a_time_is_refused():
    for settings in (
        {"batch_size": 1},
        {"batch_size": 2, "grad_accum_steps": 2},
        {"batch_size": 6, "grad_accum_steps": 6},
    ):
        with pytest.raises(
            ConfigError, match="One crop of 32 x 32 at a time gives BatchNorm a single value"
        ):
            TrainConfig(crop_size=(32, 32), **settings)
    TrainConfig(crop_size=(32, 64), batch_size=2, grad_accum_steps=2)
    TrainConfig(crop_size=(32, 32), batch_size=4, grad_accum_steps=2)
