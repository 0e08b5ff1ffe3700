"""Cross-entropy for labels that stand for a set of classes (partial labels).

The loss is that of the marginal probability of the set: the sum over its classes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from galago.labels import IGNORE_ID, LabelSet


@dataclass(frozen=True)
class SetTable:
    """The sets of classes that the labels K, K + 1 ... stand for.

    Attributes:
        offsets: (S, K) float32, added to the logits of a set: 0 for classes that the label names,
            the log of `hidden_weight` for those that may hide under it, minus infinity for all
            others.
        named: (S, K) bool, the classes that the label names.
    """

    offsets: Tensor
    named: Tensor

    @classmethod
    def of(
        cls, label_set: LabelSet, device: torch.device, hidden_weight: float = 1.0
    ) -> "SetTable | None":
        """Return the table of a data set, None where every label is one class.

        Args:
            label_set: classes and sets.
            device: of the tensors.
            hidden_weight: weight of the probability of a hidden class, above 0, up to 1.
        """
        if not label_set.sets:
            return None
        offsets = torch.full((len(label_set.sets), len(label_set)), -torch.inf)
        named = torch.zeros(len(label_set.sets), len(label_set), dtype=torch.bool)
        for index, class_set in enumerate(label_set.sets):
            offsets[index, list(class_set.hidden)] = math.log(hidden_weight)
            offsets[index, list(class_set.classes)] = 0.0
            named[index, list(class_set.classes)] = True
        return cls(offsets.to(device), named.to(device))

    def weights(self, weights: Tensor) -> Tensor:
        """Return (K + S,) weights of classes and sets for (K,) weights of classes.

        A set has the mean weight of the classes that its label names.
        """
        set_weights = (self.named.to(weights.dtype) @ weights) / self.named.sum(1)
        return torch.cat([weights, set_weights])


def marginal_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    sets: SetTable,
    *,
    weights: Tensor | None = None,
) -> Tensor:
    """Return minus the log of the summed probability of a set's classes, 0 at other pixels.

    This is logsumexp(all logits) - logsumexp(logits of the set): the cross-entropy for a set of
    one class, and 0 with a gradient of 0 for the set of all classes. The loss does not choose
    between the classes of a set, unless hidden ones have less than full weight: then the gradient
    favors the named ones where the network is in doubt.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64; values K to K + S - 1 are sets.
        sets: the classes of each set.
        weights: (K + S,) of classes and sets; default: all alike.
    Returns:
        (N, H, W) losses.
    """
    num_classes = logits.shape[1]
    flat = labels.flatten()
    pixels = ((flat >= num_classes) & (flat != IGNORE_ID)).nonzero().flatten()  # (P,)
    losses = logits.new_zeros(len(flat))
    if not len(pixels):
        return losses.view_as(labels)
    rows = logits.movedim(1, -1).reshape(-1, num_classes).index_select(0, pixels)  # (P, K)
    offsets = sets.offsets.to(rows.dtype)[flat[pixels] - num_classes]
    loss = rows.logsumexp(1) - (rows + offsets).logsumexp(1)
    if weights is not None:
        loss = loss * weights[flat[pixels]]
    return losses.index_add(0, pixels, loss).view_as(labels)


def single_class_labels(labels: Tensor, num_classes: int) -> Tensor:
    """Return labels with 255, to be ignored, in place of those that are sets of classes."""
    return labels.where(labels < num_classes, IGNORE_ID)
