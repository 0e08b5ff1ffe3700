"""The runtime: a model folder in, label maps out. Needs no torch."""

from galago.runtime.result import Segmentation
from galago.runtime.segmenter import Segmenter

__all__ = ["Segmentation", "Segmenter"]
