"""galago: high-resolution semantic segmentation on small devices, with EfficientViT."""

from importlib import import_module
from typing import TYPE_CHECKING

from galago import errors
from galago.spec import ModelSpec

if TYPE_CHECKING:
    from galago.runtime import Segmentation, Segmenter, load

__all__ = ["ModelSpec", "Segmentation", "Segmenter", "errors", "load"]

_RUNTIME = ("Segmentation", "Segmenter", "load")


def __getattr__(name: str) -> object:
    """Import the runtime, and with it OpenCV, when it is first used."""
    if name in _RUNTIME:
        return getattr(import_module("galago.runtime"), name)
    raise AttributeError(f"module 'galago' has no attribute {name!r}")
