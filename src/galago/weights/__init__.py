"""Published weights by name: what there is, from where, under which licenses; download once, verify always. Needs no torch."""

from galago.weights.published import PUBLISHED, Published

__all__ = ["PUBLISHED", "Published"]
