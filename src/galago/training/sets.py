"""Learning from labels that stand for several classes: the probability of all of them together is
what counts.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from galago.labels import IGNORE_ID, LabelSet


@dataclass(frozen=True)
class SetTable:
    """What the labels K, K + 1 ... stand for.

    Attributes:
        offsets: (S, K) float32, added to the logits within a set: 0 for classes that the label
            names, the log of `hidden_weight` for those that may hide under it, minus infinity for
            all others.
        named: (S, K) bool, the classes that the label names.
    """

    offsets: Tensor
    named: Tensor

    @classmethod
    def of(
        cls, labels: LabelSet, device: torch.device, hidden_weight: float = 1.0
    ) -> "SetTable | None":
        """Make the table of a data set; None where every label is one class.

        Args:
            labels: classes and sets.
            device: where the table is needed.
            hidden_weight: what the probability of a hidden class counts, above 0, up to 1.
        """
        if not labels.sets:
            return None
        offsets, named = (
            torch.full((len(labels.sets), len(labels)), -torch.inf),
            torch.zeros(len(labels.sets), len(labels)),
        )
        for index, found in enumerate(labels.sets):
            offsets[index, list(found.hidden)] = math.log(hidden_weight)
            offsets[index, list(found.classes)] = 0.0
            named[index, list(found.classes)] = 1.0
        return cls(offsets.to(device), named.bool().to(device))

    def weights(self, weights: Tensor) -> Tensor:
        """Extend (K,) weights of classes by those of the sets, (K + S,): the mean over the classes
        that a label names.
        """
        own = (self.named.to(weights.dtype) @ weights) / self.named.sum(1)
        return torch.cat([weights, own])


def marginal_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    sets: SetTable,
    *,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Return minus the log of the summed probability of a set's classes, where a label is a set.

    0 at other pixels.

    logsumexp(all logits) - logsumexp(logits of the set). For a set of one class this is the
    cross-entropy, for the set of all classes it is 0, and so is its gradient. Nothing is said
    between the classes of a set, unless hidden ones have less than full weight: then the gradient
    leans towards the named ones where the network is in doubt. Smoothing leans towards all classes
    alike, as in the cross-entropy for one class and less the more classes the set has, down to
    nothing.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64; values K to K + S - 1 are sets.
        sets: what they stand for.
        weights: (K + S,) of classes and sets; all alike without it.
        smoothing: probability that the target gives to all classes alike, for a set of one class.
    Returns:
        (N, H, W) losses.
    """
    num_classes = logits.shape[1]
    flat = labels.flatten()
    places = ((flat >= num_classes) & (flat != IGNORE_ID)).nonzero().flatten()
    losses = logits.new_zeros(len(flat))
    if not len(places):
        return losses.view_as(labels)
    number = flat[places] - num_classes
    own = logits.movedim(1, -1).reshape(-1, num_classes).index_select(0, places)  # (P, K)
    offsets = sets.offsets.to(own.dtype)[number]
    everything = own.logsumexp(1)
    loss = everything - (own + offsets).logsumexp(1)
    if weights is not None:
        loss = loss * weights[flat[places]]
    if smoothing:
        lean = smoothing * offsets.isneginf().sum(1) / max(1, num_classes - 1)
        far = everything[:, None] - own
        far = far if weights is None else far * weights[:num_classes]
        loss = (1 - lean) * loss + lean * far.mean(1)
    return losses.index_add(0, places, loss).view_as(labels)


def plain_labels(labels: Tensor, num_classes: int) -> Tensor:
    """Return labels with 255 for all that is no single class."""
    return labels.where(labels < num_classes, IGNORE_ID)
