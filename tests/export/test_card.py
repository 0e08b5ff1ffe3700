from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from galago.export.card import write_card
from galago.spec import ModelSpec

pytestmark = pytest.mark.torch

SCORES = {
    "mean_iou": 0.5,
    "pixel_accuracy": 0.75,
    "classes": [{"name": "wall", "iou": 0.5}, {"name": "door", "iou": None}],
}
RUN = {
    "config": {"epochs": 7},
    "data": "drawn doors",
    "train_photos": 4,
    "val_photos": 2,
    "weights": None,
    "commit": "abc",
}


@pytest.fixture
def card(random_network: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a card and returns its text."""

    def write(spec: ModelSpec, **facts: object) -> str:
        write_card(tmp_path / "CARD.md", random_network(), spec, facts)
        return (tmp_path / "CARD.md").read_text(encoding="utf-8")

    return write


def test_a_card_says_what_the_model_is(
    card: Callable[..., str], spec: ModelSpec, random_network: Callable[..., Any]
):
    text = card(replace(spec, licenses={"code": "Apache-2.0"}))
    parameters = sum(parameter.numel() for parameter in random_network().parameters())
    assert text.startswith("# doors\n")
    assert (
        f"EfficientViT-B0 for semantic segmentation with 3 classes:\n{parameters:,} parameters, "
        "float32." in text
    )
    assert "H and W any multiples of 32" in text
    assert "- code: Apache-2.0" in text


def test_a_card_shows_the_scores(card: Callable[..., str], spec: ModelSpec):
    text = card(spec, scores=SCORES)
    assert "Mean IoU **0.5000**, pixel accuracy 0.7500 on the validation split" in text
    assert "| wall | 0.500 |\n| door | n/a |" in text


def test_a_card_says_how_the_model_was_made(card: Callable[..., str], spec: ModelSpec):
    text = card(spec, run=RUN)
    assert (
        "Data: drawn doors (4 photos, 2 for validation). Started from: random weights. Commit abc."
        in text
    )
    assert "| epochs | 7 |" in text
    assert "It is late.\n\n## Licenses" in card(spec, run={**RUN, "remarks": "It is late."})


def test_a_card_does_not_make_up_what_is_not_known(card: Callable[..., str], spec: ModelSpec):
    text = card(replace(spec, input_size=(64, 96), resize="stretch"))
    assert "64 x 96" in text
    assert "Not measured on labeled photos." in text
    assert "Not recorded." in text
    assert "- not stated" in text


def test_foreign_names_cannot_break_a_card(card: Callable[..., str], spec: ModelSpec):
    scores = {
        **SCORES,
        "classes": [{"name": "a|b`c`\n# d", "iou": 0.5}, {"name": "\udce9", "iou": None}],
    }
    text = card(replace(spec, name="x\n# y"), scores=scores, run={**RUN, "data": "caf\udce9 <b>"})
    assert r"| a\|b\`c\`\\x0a# d | 0.500 |" in text
    assert r"| \\xe9 | n/a |" in text
    assert r"Data: caf\\xe9 \<b\> (4" in text
    assert "\n# " not in text
