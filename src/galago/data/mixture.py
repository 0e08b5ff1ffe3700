"""Several data sets as one, each with its share of the samples."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from galago.data.label_sets import share_sets, to_classes
from galago.data.sample import Dataset, Sample
from galago.errors import ConfigError
from galago.labels import LabelSet


@dataclass(frozen=True)
class ExtraDataset:
    """A data set that is learned from beside the main one.

    Attributes:
        name: short, for reports.
        train: what views are drawn from.
        share: of all views, 0 to 1.
        val: what is scored beside the main validation set, or None.
    """

    name: str
    train: Dataset
    share: float
    val: Dataset | None = None


@dataclass(frozen=True)
class Mixture:
    """Data sets of the same labels one after the other, each repeated so that it takes its share of
    the whole.

    An index drawn evenly belongs to a data set with the probability of its share, and within it to
    every sample alike up to one repetition.

    Attributes:
        names: of the samples, `set/sample`.
    """

    parts: tuple[ExtraDataset, ...]
    names: list[str] = field(init=False, repr=False, compare=False)
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        length = max(len(part.train) / part.share for part in self.parts)
        blocks = [max(len(part.train), round(length * part.share)) for part in self.parts]
        object.__setattr__(self, "_ends", tuple(accumulate(blocks)))
        own = [list(part.train.names) for part in self.parts]
        names = [
            f"{part.name}/{names[index % len(names)]}"
            for part, names, block in zip(self.parts, own, blocks, strict=True)
            for index in range(block)
        ]
        object.__setattr__(self, "names", names)

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the classes, and sets of them."""
        return self.parts[0].train.label_set

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Read sample `index`, 0 to len - 1."""
        number = bisect_right(self._ends, index)
        part, start = self.parts[number].train, self._ends[number - 1] if number else 0
        return replace(part[(index - start) % len(part)], name=self.names[index])


def fill_shares(shares: Sequence[float | None]) -> list[float]:
    """Fill in the shares of extra data sets that were not told: as large as the main set's each.

    Raises:
        ConfigError: nothing is left for the main set.
    """
    told = sum(share for share in shares if share is not None)
    if told >= 1:
        raise ConfigError(
            f"The extra data sets take {told:.0%} of the views, which leaves nothing for --data."
        )
    rest = (1 - told) / (1 + sum(share is None for share in shares))
    return [rest if share is None else share for share in shares]


def mix(
    train_set: Dataset, extras: Sequence[ExtraDataset]
) -> tuple[Dataset, Mixture, dict[str, Dataset]]:
    """Bring data sets to the classes of the main one, found by name, and to common labels.

    Args:
        train_set: the main one.
        extras: at least one.
    Returns:
        the main one, the mixture of the extra ones, and what is scored of each, by name; the latter
        with its own sets.
    Raises:
        ConfigError: an extra one has a class that the main one lacks.
    """
    labels = train_set.label_set
    trains = share_sets(
        [train_set, *(to_classes(extra.train, labels, extra.name) for extra in extras)]
    )
    parts = tuple(replace(extra, train=own) for extra, own in zip(extras, trains[1:], strict=True))
    vals = {
        extra.name: to_classes(extra.val, labels, extra.name)
        for extra in extras
        if extra.val is not None
    }
    return trains[0], Mixture(parts), vals
