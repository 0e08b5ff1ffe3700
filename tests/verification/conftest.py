"""A copy of the bundled model, and ways to spoil it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from galago.pretrained.resolve import ASSETS


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    """A copy of the bundled model folder."""
    return Path(shutil.copytree(ASSETS / "b0-camvid", tmp_path / "model"))


@pytest.fixture
def spoil(bundled: Path) -> Callable[..., Path]:
    """Return a function that changes a copy of the bundled model so that its checksums hold again.

    `graph` changes the ONNX graph in place, `description` the content of model.json.
    """

    def write(
        graph: Callable[[Any], None] | None = None,
        description: Callable[[dict[str, Any]], None] | None = None,
    ) -> Path:
        if graph:
            onnx = pytest.importorskip("onnx")
            model = onnx.load(bundled / "model.onnx")
            graph(model.graph)
            onnx.save(model, bundled / "model.onnx")
        text = json.loads((bundled / "model.json").read_text())
        if description:
            description(text)
        text["files"] = {
            name: hashlib.sha256((bundled / name).read_bytes()).hexdigest()
            for name in text["files"]
        }
        (bundled / "model.json").write_text(json.dumps(text))
        return bundled

    return write
