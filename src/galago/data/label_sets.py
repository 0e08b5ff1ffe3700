"""Labels that stand for several classes: coarse labels, and labels under which classes hide that
the masks cannot show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from galago._core.printable import printable
from galago._core.shown import shown
from galago.data.sample import Dataset, Sample
from galago.errors import ConfigError, DataError
from galago.labels import IGNORE_ID, ClassSet, LabelSet

IGNORE_WORDS = ("ignore", "ignore_label")
Classes = tuple[int, ...]  # class ids, ascending


def resolve_names(
    raw: dict[str, Any], names: tuple[str, ...], file: Path
) -> tuple[dict[str, Any], tuple[ClassSet, ...], dict[int, str]]:
    """Turn the names and sets of classes of a YAML file into ids.

    Args:
        raw: what the file holds; the keys label_mapping, source_names and not_labeled are read.
        names: of the classes, K.
        file: names the file in messages.
    Returns:
        `raw` with a label_mapping from ids to ids, of which K, K + 1 ... stand for sets; those
        sets; the names of ids in the masks. Where nothing of this is used, `raw` as it is.
    Raises:
        DataError: a name is unknown, or a key has another form.
    """
    sources, mapping = _source_names(raw.get("source_names"), file), raw.get("label_mapping")
    hidden = _not_labeled(raw.get("not_labeled"), names, file)
    if mapping is not None and not isinstance(mapping, dict):
        return raw, (), sources
    if mapping is None and not sources and not hidden:
        return raw, (), {}
    if mapping is None and not sources:
        mapping = {index: index for index in range(len(names))}
    sets: dict[tuple[Classes, Classes], list[str]] = {}
    resolved: dict[object, object] = {}
    entries = _by_id(mapping or {}, sources, file)
    for source, name in sources.items():  # a name that is a class's, too, needs no line
        if source not in entries and name in names:
            entries[source] = names.index(name)
    for key, target in entries.items():
        classes = _classes(target, names, f"{file}: label_mapping", several=True)
        if classes is None:
            resolved[key] = target
            continue
        under = tuple(
            sorted({index for own in classes for index in hidden.get(own, ())} - set(classes))
        )
        if len(classes) + len(under) == 1:
            resolved[key] = classes[0]
            continue
        if len(classes) + len(under) == len(names):
            raise DataError(
                f"{file}: a pixel of id {key} in the masks may be any class, which says nothing. "
                "Write `ignore` in label_mapping, or fewer classes."
            )
        members = classes, under
        sets.setdefault(members, []).append(
            sources.get(key, f"id {key}") if isinstance(key, int) else str(key)
        )
        resolved[key] = len(names) + list(sets).index(members)
    made = tuple(ClassSet(" + ".join(called), *members) for members, called in sets.items())
    return raw | {"label_mapping": resolved}, made, sources


def _by_id(
    mapping: Mapping[object, object], sources: Mapping[int, str], file: Path
) -> dict[object, object]:
    """Replace names of ids in the masks by these ids.

    What is no name stays, for others to judge.
    """
    ids = {name: index for index, name in sources.items()}
    entries: dict[object, object] = {}
    for key, target in mapping.items():
        source: object = key
        if isinstance(key, str):
            if key not in ids:
                raise DataError(f"{file}: label_mapping {_unknown_source(key, ids)}")
            source = ids[key]
        if source in entries:
            called = next(name for index, name in sources.items() if index == source)
            raise DataError(
                f"{file}: label_mapping maps id {source} twice, once by its name {shown(called)}."
            )
        entries[source] = target
    return entries


def _unknown_source(key: str, ids: Mapping[str, int]) -> str:
    """Say what is wrong with a text that is no name of an id in the masks: most often an id in
    quotes.
    """
    if key.strip().removeprefix("-").isdecimal():
        return (
            f"maps ids of the masks, 0 to 255, got {shown(key)}. Write the number without quotes."
        )
    advice = (
        f"Known names: {_some(ids)}."
        if ids
        else "Say what the ids are called: source_names: [name of id 0, ...]."
    )
    return f"maps {shown(key)}, which is no name of an id in the masks. {advice}"


def _source_names(raw: object, file: Path) -> dict[int, str]:
    """Read what ids in the masks are called: a list that counts from 0, or a mapping from ids."""
    if raw is None:
        return {}
    if isinstance(raw, list):
        raw = dict(enumerate(raw))
    if not isinstance(raw, dict) or not all(type(key) is int and 0 <= key <= 255 for key in raw):
        raise DataError(
            f"{file}: source_names should list what the ids 0, 1, ... are called, or map ids 0 to "
            "255 to names."
        )
    if odd := [name for name in raw.values() if not isinstance(name, str)]:
        raise DataError(
            f"{file}: source_names should be text, got {shown(odd[0])}. Put quotes around it."
        )
    if twice := sorted({name for name in raw.values() if list(raw.values()).count(name) > 1}):
        raise DataError(
            f"{file}: source_names should differ, but these occur more than once: {_some(twice)}."
        )
    return dict(raw)


def _not_labeled(raw: object, names: tuple[str, ...], file: Path) -> dict[int, Classes]:
    """Return the classes that may hide under each class, from a list for all or a mapping."""
    what = f"{file}: not_labeled"
    if raw is None:
        return {}
    if isinstance(raw, dict):
        found = {}
        for key, value in raw.items():
            own, under = _classes(key, names, what), _classes(value, names, what, several=True)
            if own is None or under is None:
                raise DataError(
                    f"{what} should look like [car] or {{road: [car]}}, got {shown(key)}: "
                    f"{shown(value)}."
                )
            found[own[0]] = under
        return found
    classes = _classes(raw, names, what, several=True) if isinstance(raw, list) else None
    if classes is None:
        raise DataError(f"{what} should look like [car] or {{road: [car]}}, got {shown(raw)}.")
    return dict.fromkeys(range(len(names)), classes)


def _classes(
    value: object, names: Sequence[str], what: str, *, several: bool = False
) -> Classes | None:
    """Return the ids of a class, given as name or id, or of a list of classes.

    None for `ignore` and its id.

    Raises:
        DataError: a name or an id is unknown, or a list is empty.
    """
    if isinstance(value, list) and several:
        if not value:
            raise DataError(
                f"{what} should list at least one class, got []. Write `ignore` for pixels that "
                "are ignored."
            )
        found = [_classes(item, names, what) for item in value]
        if None in found:
            raise DataError(
                f"{what} has `ignore` within a list, got {shown(value)}. Leave it out, or write "
                "`ignore` alone."
            )
        return tuple(sorted({item[0] for item in found if item}))
    if isinstance(value, str) and value in names:
        return (names.index(value),)
    if (isinstance(value, str) and value in IGNORE_WORDS) or (
        type(value) is int and value == IGNORE_ID
    ):
        return None
    if type(value) is int and 0 <= value < len(names):
        return (value,)
    advice = (
        " Write the number without quotes."
        if isinstance(value, str) and value.strip().isdecimal()
        else ""
    )
    raise DataError(
        f"{what} maps to class ids, 0 to {len(names) - 1}, or `ignore`, got "
        f"{shown(value)}.{advice} Names of classes "
        f"serve as well ({_some(names)}), and lists of them where a pixel may be any of several."
    )


def _some(names: Sequence[str] | Mapping[str, object], most: int = 20) -> str:
    shown = [printable(name) for name in list(names)[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


@dataclass(frozen=True)
class RelabeledDataset:
    """A data set whose labels count in another order, or stand for other sets.

    Attributes:
        dataset: where samples come from.
        labels: the classes and sets that the new labels stand for.
        table: the new label of each old one, 256 of them.
    """

    dataset: Dataset
    label_set: LabelSet
    table: bytes

    @property
    def names(self) -> list[str]:
        """Name of every sample, in order; reads no image."""
        return list(self.dataset.names)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Read sample `index`, 0 to len - 1, and give its pixels their new labels."""
        sample = self.dataset[index]
        return replace(sample, labels=cv2.LUT(sample.labels, np.frombuffer(self.table, np.uint8)))


def to_classes(dataset: Dataset, label_set: LabelSet, what: str) -> Dataset:
    """Return a data set with the classes of another one, in their order, found by name.

    It keeps its own sets.

    Raises:
        ConfigError: it labels a class that the others do not have.
    """
    own = dataset.label_set
    if unknown := [name for name in own.names if name not in label_set.names]:
        raise ConfigError(
            f"{what} has classes that the network does not learn: {_some(unknown)}. It learns "
            f"{_some(label_set.names)}. "
            "In a YAML of its own, list only classes of these as names, what the masks hold as "
            "source_names, and say in "
            "label_mapping what each becomes."
        )
    if own.names == label_set.names:
        return dataset
    new = [label_set.names.index(name) for name in own.names]

    def moved(ids: Classes) -> Classes:
        return tuple(sorted(new[index] for index in ids))

    sets = tuple(
        ClassSet(found.name, moved(found.classes), moved(found.hidden)) for found in own.sets
    )
    table = _table([*new, *(len(label_set) + index for index in range(len(sets)))])
    return RelabeledDataset(dataset, LabelSet(label_set.names, label_set.palette, sets), table)


def share_sets(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return data sets of the same classes with one common list of sets, so that a label means the
    same in all of them.

    Raises:
        ConfigError: classes and sets together are more than 255.
    """
    first = datasets[0].label_set
    keys = list(
        dict.fromkeys(
            (found.classes, found.hidden)
            for dataset in datasets
            for found in dataset.label_set.sets
        )
    )
    names = {
        (found.classes, found.hidden): found.name
        for dataset in datasets
        for found in dataset.label_set.sets
    }
    common = LabelSet(first.names, first.palette, tuple(ClassSet(names[key], *key) for key in keys))
    shared: list[Dataset] = []
    for dataset in datasets:
        own = [(found.classes, found.hidden) for found in dataset.label_set.sets]
        table = _table([*range(len(first)), *(len(first) + keys.index(key) for key in own)])
        same = own == keys[: len(own)] and dataset.label_set.sets == common.sets
        shared.append(dataset if same else RelabeledDataset(dataset, common, table))
    return shared


def _table(new: Sequence[int]) -> bytes:
    return bytes([*new, *([IGNORE_ID] * (256 - len(new)))])
