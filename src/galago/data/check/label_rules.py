"""What can be wrong with the labels: ids out of range, 0/255 masks, classes that are absent or
rare, photos without labels.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from galago.data.check.facts import ImageStats
from galago.data.check.finding import ERROR, WARNING, Finding, plural
from galago.data.check.layout import Layout
from galago.data.check.statistics import IdTable, Split
from galago.data.convert.cityscapes import SOURCE_IDS as CITYSCAPES_IDS
from galago.labels import CITYSCAPES, IGNORE_ID

# up to so many, a mask of 0 and 255 alone is rather a binary mask than one class with ignored
# pixels
FEW_CLASSES = 4
RARE_SHARE = 0.0005  # of the labeled pixels in train
RARE_PHOTOS = 3  # in train
MANY_IDS = 40  # different ids that mean nothing: rather gray levels than ids
SHOWN_IDS, SHOWN_IDS_OF_MASK = 12, 4

Stats = Mapping[str, Split]


def binary_masks(layout: Layout, facts: list[ImageStats], stats: Stats) -> Iterator[Finding]:
    """Find masks of 0 and 255 alone, which image editors and many tools write for two classes."""
    classes = len(layout.labels)
    if (
        classes > FEW_CLASSES
        or layout.train_ids.get(255) != IGNORE_ID
        or layout.train_ids.get(0) == IGNORE_ID
    ):
        return
    counted = [(fact.item.shown, fact.counts) for fact in facts if fact.counts is not None]
    bad = {
        name: f"255: {plural(int(counts[255]), 'pixels')}"
        for name, counts in counted
        if set(np.flatnonzero(counts)) == {0, 255}
    }
    if not bad:
        return
    all_of_them = not any(counts[1:255].any() for _, counts in counted)
    more = " No mask holds any other id." if all_of_them and classes > 1 else ""
    names = "" if classes > 1 else f" and names: {_with_background(layout)}"
    yield Finding(
        kind="binary-mask",
        severity=ERROR if all_of_them else WARNING,
        message=f"{plural(len(bad), 'masks')} hold 0 and 255 only, and 255 means ignore.{more}",
        advice=f"If 255 is a class, write into the YAML: label_mapping: {{0: 0, 255: 1}}{names}.",
        found=bad,
        unit="masks",
    )


def unknown_ids(layout: Layout, facts: list[ImageStats], stats: Stats) -> Iterator[Finding]:
    """Find ids that mean nothing, and suggest what they may mean."""
    table, total = IdTable.of(layout.labels, layout.train_ids), Counter[int]()
    found = {}
    for fact in facts:
        if fact.counts is not None and (unknown := table.unknown(fact.counts)):
            total.update(unknown)
            found[fact.item.shown] = f"ids {_ids(unknown)}"
    if not found:
        return
    seen = sum((split.ids for split in stats.values()), np.zeros(256, np.int64))
    if len(total) > MANY_IDS:
        advice = (
            "So many ids are rather gray levels: masks that were resized with interpolation, drawn "
            "with soft edges or saved as "
            "JPEG on the way. Export them again without these; masks must be resized with nearest "
            "neighbor."
        )
    elif len(layout.labels) == 1 and not layout.mapped:
        advice = _name_background(layout, seen)
    else:
        ways = [
            f"{condition}: label_mapping: {_yaml(mapping)}"
            for condition, mapping in suggest_mappings(layout, seen)
        ]
        advice = f"Say in the YAML what the ids mean. {'. '.join(ways)}"
    counts = ", ".join(
        f"{index} ({plural(count, 'pixels')})" for index, count in sorted(total.items())[:SHOWN_IDS]
    )
    counts += f" and {len(total) - SHOWN_IDS} more ids" if len(total) > SHOWN_IDS else ""
    known = (
        ", ".join(map(str, sorted(layout.train_ids)))
        if layout.mapped
        else f"0 to {len(layout.labels) - 1}, 255"
    )
    message = f"{plural(len(found), 'masks')} with ids out of range: {counts}. Known ids: {known}."
    yield Finding(
        kind="unknown-id", severity=ERROR, message=message, advice=advice, found=found, unit="masks"
    )


def one_class(layout: Layout, facts: list[ImageStats], stats: Stats) -> Iterator[Finding]:
    """Find data in which nothing can be told apart: one name, or one class in all of train."""
    present = np.flatnonzero(stats["train"].pixels) if "train" in stats else np.array([])
    seen = sum((split.ids for split in stats.values()), np.zeros(256, np.int64))
    if len(layout.labels) == 1:
        message = f"The data set has one class, {layout.labels.names[0]}, so that there is nothing to learn."
        found = {layout.labels.names[0]: "the only name"}
        severity = ERROR
        advice = _name_background(layout, seen)
    elif len(present) == 1:
        name = layout.labels.names[present[0]]
        message = f"All labeled pixels of train are of one class, {name}, so that there is nothing to learn."
        found = {name: "the only class in train"}
        severity = WARNING
        advice = "Check the ids of the masks against names, or add photos that show other classes."
    else:
        return
    yield Finding(
        kind="one-class",
        severity=severity,
        message=message,
        advice=advice,
        found=found,
        unit="classes",
    )


def _name_background(layout: Layout, seen: np.ndarray) -> str:
    """Say how a single class becomes one of two, by the ids that the masks hold, (256,) pixels of
    each.
    """
    names = f"names: {_with_background(layout)}"
    ids = [int(index) for index in np.flatnonzero(seen)]
    others = [index for index in ids if index not in (0, IGNORE_ID)]
    if 0 not in ids and len(others) == 1:
        return f"Everything that is not the class needs an id and a name too: 0 for the background, and {names}."
    if len(others) == 1:
        return f"Name the background, too: {names}" + (
            "." if others == [1] else f" and label_mapping: {{0: 0, {others[0]}: 1}}."
        )
    if others:
        mapping = _yaml({0: 0} | dict.fromkeys(others, 1))
        return f"Name the background, too: {names}, and if all other ids are the class: label_mapping: {mapping}."
    if 255 in ids:
        return f"If 0 is the background and 255 the class: {names} and label_mapping: {{0: 0, 255: 1}}."
    return f"The masks hold one id only. Export them with 0 for the background and 1 for the class, and write {names}."


def _with_background(layout: Layout) -> str:
    name = layout.labels.names[0]
    return "[background, object]" if name == "background" else f"[background, {name}]"


def _ids(counts: Mapping[int, int]) -> str:
    shown = ", ".join(
        f"{index}: {plural(count, 'pixels')}"
        for index, count in list(counts.items())[:SHOWN_IDS_OF_MASK]
    )
    return shown + (" ..." if len(counts) > SHOWN_IDS_OF_MASK else "")


def suggest_mappings(layout: Layout, seen: np.ndarray) -> list[tuple[str, dict[int, int | str]]]:
    """Guess what ids that do not fit may mean.

    Args:
        layout: the data set.
        seen: (256,) pixels of each id in all masks.
    Returns:
        conditions in words, each with the label_mapping that is right if it holds; the likeliest
        first.
    """
    classes, ids = (
        len(layout.labels),
        [int(index) for index in np.flatnonzero(seen) if index != IGNORE_ID],
    )
    kept: dict[int, int | str] = {index: index for index in range(classes)}
    if layout.mapped:
        kept = {source: _as_written(layout, target) for source, target in layout.train_ids.items()}
    strange = [index for index in ids if index not in kept]
    rest = (
        f"If {', '.join(map(str, strange))} should count nowhere",
        _sorted(_ignored(strange) | kept),
    )
    if layout.mapped:
        return [rest]
    if layout.labels.names == CITYSCAPES.names:
        official: dict[int, int | str] = {
            source: target for target, source in enumerate(CITYSCAPES_IDS)
        }
        return [("These are Cityscapes' classes", _sorted(_ignored(ids) | official)), rest]
    if ids[-1] == classes:  # 1 to K instead of 0 to K - 1
        return [
            (
                "If 0 means unlabeled",
                {0: "ignore"} | {index: index - 1 for index in range(1, classes + 1)},
            ),
            rest,
        ]
    if len(ids) == classes:
        return [
            (
                "If the ids follow the order of names",
                {source: target for target, source in enumerate(ids)},
            ),
            rest,
        ]
    if len(ids) == classes + 1 and ids[0] == 0:
        shifted: dict[int, int | str] = {source: target for target, source in enumerate(ids[1:])}
        return [
            ("If 0 means unlabeled and the ids follow the order of names", {0: "ignore"} | shifted),
            rest,
        ]
    return [rest]


def _as_written(layout: Layout, target: int) -> int | str:
    """Return a label as a label_mapping has it."""
    if target == IGNORE_ID or target < len(layout.labels):
        return "ignore" if target == IGNORE_ID else target
    return str(list(layout.labels.sets[target - len(layout.labels)].classes))


def _ignored(ids: list[int]) -> dict[int, int | str]:
    return dict.fromkeys(ids, "ignore")


def _sorted(mapping: dict[int, int | str]) -> dict[int, int | str]:
    return dict(sorted(mapping.items()))


def _yaml(mapping: Mapping[int, int | str]) -> str:
    return "{" + ", ".join(f"{source}: {target}" for source, target in mapping.items()) + "}"


def absent_classes(layout: Layout, facts: list[ImageStats], stats: Stats) -> Iterator[Finding]:
    """Find classes that occur in no photo of train, whether another split has them or not."""
    if "train" not in stats or not stats["train"].ids.any():
        return  # said elsewhere, once and not for every class
    in_sets = {
        index for found in layout.labels.sets if len(found.members) > 1 for index in found.members
    }
    absent = [
        index
        for index, photos in enumerate(stats["train"].photos)
        if photos == 0 and index not in in_sets
    ]
    elsewhere = {
        layout.labels.names[index]: ", ".join(
            f"{plural(int(stats[split].photos[index]), 'photos')} of {split}" for split in where
        )
        for index in absent
        if (where := [split for split in stats if split != "train" and stats[split].photos[index]])
    }
    nowhere = {
        layout.labels.names[index]: ""
        for index in absent
        if layout.labels.names[index] not in elsewhere
    }
    if elsewhere:
        yield Finding(
            kind="class-not-in-train",
            severity=ERROR,
            message=f"{plural(len(elsewhere), 'classes')} never in train, but elsewhere: {', '.join(elsewhere)}.",
            advice="A network cannot learn what it never sees: move some of these photos to train, or map the class to ignore.",
            found=elsewhere,
            unit="classes",
        )
    if nowhere:
        yield Finding(
            kind="empty-class",
            severity=WARNING,
            message=f"{plural(len(nowhere), 'classes')} in no photo at all: {', '.join(nowhere)}.",
            advice="Check the ids of the masks against names; if nothing is missing, take the class out of names.",
            found=nowhere,
            unit="classes",
        )


def rare_classes(layout: Layout, facts: list[ImageStats], stats: Stats) -> Iterator[Finding]:
    """Find classes that train has, but hardly."""
    if "train" not in stats:
        return
    train, rare = stats["train"], {}
    for name, share, photos in zip(layout.labels.names, train.shares, train.photos, strict=True):
        if photos and (share < RARE_SHARE or photos < RARE_PHOTOS):
            rare[name] = f"{share:.4%} of the pixels, {plural(int(photos), 'photos')}"
    if rare:
        yield Finding(
            kind="rare-class",
            severity=WARNING,
            message=f"{plural(len(rare), 'classes')} hardly in train: {', '.join(rare)}.",
            advice=f"Below {RARE_SHARE:.2%} of the pixels or {RARE_PHOTOS} photos little is learned: label more photos that show "
            "them, or merge them with another class by label_mapping.",
            found=rare,
            unit="classes",
        )


def unlabeled_photos(layout: Layout, facts: list[ImageStats], stats: Stats) -> Iterator[Finding]:
    """Find photos all of whose pixels are ignored."""
    table, found = IdTable.of(layout.labels, layout.train_ids), {}
    labeled: dict[str, bool] = {}
    for fact in facts:
        if fact.counts is None:
            continue
        void = table.ignored(fact.counts) == fact.counts.sum()
        labeled[fact.item.split] = labeled.get(fact.item.split, False) or not void
        if void:
            found[fact.item.shown] = ""
    if not found:
        return
    void_splits = [split for split, some in labeled.items() if not some]
    whole = (
        " These are all photos."
        if len(void_splits) == len(labeled)
        else f" These are all of {' and '.join(void_splits)}."
    )
    yield Finding(
        kind="unlabeled-photo",
        severity=ERROR if void_splits else WARNING,
        message=f"{plural(len(found), 'photos')} without a labeled pixel.{whole if void_splits else ''}",
        advice="Nothing is learned from them, nothing scored: label or remove them. If 255 or the ignore_id is a class here, "
        "say so in label_mapping.",
        found=found,
    )


LABEL_RULES = (one_class, binary_masks, unknown_ids, absent_classes, rare_classes, unlabeled_photos)
