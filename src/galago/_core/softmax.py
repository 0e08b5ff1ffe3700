"""Class probabilities from logits."""

import numpy as np


def softmax(logits: np.ndarray, best: np.ndarray | None = None) -> np.ndarray:
    """Return the softmax over the first axis.

    Args:
        logits: (K, ...) float32, finite.
        best: (...) the largest logit, if it is known already.
    Returns:
        (K, ...) float32, 0 to 1.
    """
    shares: np.ndarray = logits - (logits.max(axis=0) if best is None else best)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=0)
    return shares
