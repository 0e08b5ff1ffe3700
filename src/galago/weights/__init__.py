"""Published weights by name: what there is, from where, under which licenses; download once, verify always. Needs no torch."""

from galago.pretrained.table import PUBLISHED, PretrainedModel

__all__ = ["PUBLISHED", "PretrainedModel"]
