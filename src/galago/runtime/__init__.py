"""The runtime: a model folder in, label maps out. Needs no torch."""

from pathlib import Path

from galago.runtime.engine import Engine
from galago.runtime.engines import ENGINES, choose_engine, open_engine
from galago.runtime.folder import open_model
from galago.runtime.result import Segmentation
from galago.runtime.segmenter import Segmenter

__all__ = ["Engine", "Segmentation", "Segmenter", "load", "open_model"]


def load(model: str | Path = "b0-camvid", *, engine: str = "auto", threads: int | None = None, half: bool = False) -> Segmenter:
    """Open a model for labeling photos.

    Args:
        model: name of a bundled model, a model folder, or a single .onnx file that galago wrote.
        engine: `openvino`, `onnxruntime`, `ncnn`, `litert`, or `auto` for the first of them that is installed and whose file the
            model has; `segmenter.engine.name` says which.
        threads: CPU threads; the engine decides without it.
        half: compute in bfloat16 where engine and CPU can, which changes a few labels; float32 without it.
    Raises:
        ConfigError: the model's name or the engine is unknown, threads is less than 1, or engine or CPU have no bfloat16.
        MissingDependencyError: the engine is not installed.
        ModelError: the model is missing, damaged, its checksums do not match, or it has no file for the engine.
    """
    opened = open_model(str(model))
    name = choose_engine(engine, opened.files)
    precision = "bfloat16" if half else "float32"
    return Segmenter(open_engine(opened.files[ENGINES[name].file], name, threads=threads, precision=precision), opened.spec)
