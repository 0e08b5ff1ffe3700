"""galago: high-resolution semantic segmentation on small devices, with EfficientViT."""

from importlib import import_module
from typing import TYPE_CHECKING

from galago import errors
from galago.spec import ModelSpec

if TYPE_CHECKING:
    from galago._load import load
    from galago.runtime import Segmentation, Segmenter

__all__ = ["ModelSpec", "Segmentation", "Segmenter", "errors", "load"]

_LAZY = {"Segmentation": "galago.runtime", "Segmenter": "galago.runtime", "load": "galago._load"}


def __getattr__(name: str) -> object:
    """Import the runtime, and with it OpenCV, when it is first used."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'galago' has no attribute {name!r}")
