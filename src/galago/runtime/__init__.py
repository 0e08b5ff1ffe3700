"""The runtime: a model folder in, label maps out. Needs no torch."""

from pathlib import Path

from galago.errors import ConfigError
from galago.runtime.engine import Engine
from galago.runtime.folder import open_model
from galago.runtime.result import Segmentation
from galago.runtime.segmenter import Segmenter

__all__ = ["Engine", "Segmentation", "Segmenter", "load", "open_model"]

ENGINES = ("openvino",)  # fastest first


def load(model: str | Path = "b0-camvid", *, engine: str = "auto", threads: int | None = None, half: bool = False) -> Segmenter:
    """Open a model for labeling photos.

    Args:
        model: name of a bundled model, a model folder, or a single .onnx file that galago wrote.
        engine: `auto` or `openvino`.
        threads: CPU threads; the engine decides without it.
        half: compute in bfloat16 where the CPU can, which changes a few labels; float32 without it.
    Raises:
        ConfigError: the model's name or the engine is unknown, or threads is less than 1.
        ModelError: the model is missing, damaged, or its checksums do not match.
    """
    if engine not in ("auto", *ENGINES):
        raise ConfigError(f"Unknown engine {engine!r}. Choose one of: auto, {', '.join(ENGINES)}.")
    opened = open_model(str(model))
    from galago.runtime.openvino_engine import OpenVINOEngine

    return Segmenter(OpenVINOEngine(opened.file, threads=threads, precision="bfloat16" if half else "float32"), opened.spec)
