import pytest

pytest.importorskip("torch")

from galago.errors import ConfigError
from galago.training.settings import parse_settings

pytestmark = pytest.mark.torch


def test_values_get_the_types_of_their_settings():
    texts = [
        "epochs=40",
        "crop_size=192x256",
        "color=1",
        "variant=b1",
        "head=none",
        "mean=0.5,0.4,0.3",
    ]
    assert parse_settings(texts) == {
        "epochs": 40, "crop_size": (192, 256), "color": 1.0, "variant": "b1", "head": None, "mean": (0.5, 0.4, 0.3),
    }  # fmt: skip


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
