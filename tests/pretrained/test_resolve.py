from pathlib import Path

import pytest

from galago.errors import ConfigError
from galago.pretrained.resolve import bundled_models, resolve


def test_a_bundled_model_is_found_by_name(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("galago.pretrained.resolve.ASSETS", tiny_folder.parent)
    assert bundled_models() == ["tiny"]
    assert resolve("tiny") == tiny_folder


@pytest.mark.parametrize("model", ["b9-nowhere", "no/such/folder"])
def test_an_unknown_model_is_an_error_that_lists_the_bundled_ones(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, model: str
):
    monkeypatch.setattr("galago.pretrained.resolve.ASSETS", tiny_folder.parent)
    message = rf"There is no model '{model}'\. Give a model folder, an \.onnx file, a bundled model's name \(tiny\), or"
    with pytest.raises(ConfigError, match=message):
        resolve(model)


def test_a_path_is_a_path(tiny_folder: Path):
    assert resolve(str(tiny_folder)) == tiny_folder
