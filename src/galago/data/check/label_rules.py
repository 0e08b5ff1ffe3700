"""What can be wrong with the labels: ids out of range, 0/255 masks, classes that are absent or
rare, images without labels.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from galago.data.check.finding import ERROR, WARNING, Finding, plural
from galago.data.check.image_stats import ImageStats
from galago.data.check.layout import Layout
from galago.data.check.statistics import IdTable, Split
from galago.data.convert.cityscapes import SOURCE_IDS as CITYSCAPES_IDS
from galago.labels import CITYSCAPES, IGNORE_ID

# up to so many, a mask of 0 and 255 alone is rather a binary mask than one class with ignored
# pixels
FEW_CLASSES = 4
RARE_SHARE = 0.0005  # of the labeled pixels in train
RARE_IMAGES = 3  # in train
MANY_IDS = 40  # different ids that mean nothing: rather gray levels than ids
SHOWN_IDS, SHOWN_IDS_OF_MASK = 12, 4

Splits = Mapping[str, Split]


def binary_masks(
    layout: Layout, image_stats: list[ImageStats], splits: Splits
) -> Iterator[Finding]:
    """Find masks of 0 and 255 alone, which image editors and many tools write for two classes."""
    classes = len(layout.label_set)
    if (
        classes > FEW_CLASSES
        or layout.train_ids.get(255) != IGNORE_ID
        or layout.train_ids.get(0) == IGNORE_ID
    ):
        return
    counted = [
        (stats.item.shown, stats.counts) for stats in image_stats if stats.counts is not None
    ]
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


def unknown_ids(layout: Layout, image_stats: list[ImageStats], splits: Splits) -> Iterator[Finding]:
    """Find ids that mean nothing, and suggest what they may mean."""
    table, total = IdTable.of(layout.label_set, layout.train_ids), Counter[int]()
    found = {}
    for stats in image_stats:
        if stats.counts is not None and (unknown := table.unknown(stats.counts)):
            total.update(unknown)
            found[stats.item.shown] = f"ids {_ids(unknown)}"
    if not found:
        return
    seen = sum((split.ids for split in splits.values()), np.zeros(256, np.int64))
    if len(total) > MANY_IDS:
        advice = (
            "So many ids are rather gray levels: masks that were resized with interpolation, drawn "
            "with soft edges or saved as "
            "JPEG on the way. Export them again without these; masks must be resized with nearest "
            "neighbor."
        )
    elif len(layout.label_set) == 1 and not layout.mapped:
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
        else f"0 to {len(layout.label_set) - 1}, 255"
    )
    message = f"{plural(len(found), 'masks')} with ids out of range: {counts}. Known ids: {known}."
    yield Finding(
        kind="unknown-id", severity=ERROR, message=message, advice=advice, found=found, unit="masks"
    )


def one_class(layout: Layout, image_stats: list[ImageStats], splits: Splits) -> Iterator[Finding]:
    """Find data in which nothing can be told apart: one name, or one class in all of train."""
    present = np.flatnonzero(splits["train"].pixels) if "train" in splits else np.array([])
    seen = sum((split.ids for split in splits.values()), np.zeros(256, np.int64))
    if len(layout.label_set) == 1:
        message = (
            f"The data set has one class, {layout.label_set.names[0]}, so that there is "
            "nothing to learn."
        )
        found = {layout.label_set.names[0]: "the only name"}
        severity = ERROR
        advice = _name_background(layout, seen)
    elif len(present) == 1:
        name = layout.label_set.names[present[0]]
        message = (
            f"All labeled pixels of train are of one class, {name}, so that there is "
            "nothing to learn."
        )
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
        return (
            "Everything that is not the class needs an id and a name too: 0 for the "
            f"background, and {names}."
        )
    if len(others) == 1:
        return f"Name the background, too: {names}" + (
            "." if others == [1] else f" and label_mapping: {{0: 0, {others[0]}: 1}}."
        )
    if others:
        mapping = _yaml({0: 0} | dict.fromkeys(others, 1))
        return (
            f"Name the background, too: {names}, and if all other ids are the class: "
            f"label_mapping: {mapping}."
        )
    if 255 in ids:
        return (
            f"If 0 is the background and 255 the class: {names} and label_mapping: "
            f"{{0: 0, 255: 1}}."
        )
    return (
        "The masks hold one id only. Export them with 0 for the background and 1 for the "
        f"class, and write {names}."
    )


def _with_background(layout: Layout) -> str:
    name = layout.label_set.names[0]
    return "[background, object]" if name == "background" else f"[background, {name}]"


def _ids(counts: Mapping[int, int]) -> str:
    shown = ", ".join(
        f"{index}: {plural(count, 'pixels')}"
        for index, count in list(counts.items())[:SHOWN_IDS_OF_MASK]
    )
    return shown + (" ..." if len(counts) > SHOWN_IDS_OF_MASK else "")


def suggest_mappings(layout: Layout, seen: np.ndarray) -> list[tuple[str, dict[int, int | str]]]:
    """Suggest what ids that do not fit may mean.

    Args:
        layout: the data set.
        seen: (256,) pixels of each id in all masks.
    Returns:
        conditions in words, each with the label_mapping that is right if it holds; the likeliest
        first.
    """
    classes, ids = (
        len(layout.label_set),
        [int(index) for index in np.flatnonzero(seen) if index != IGNORE_ID],
    )
    kept: dict[int, int | str] = {index: index for index in range(classes)}
    if layout.mapped:
        kept = {source: _as_written(layout, target) for source, target in layout.train_ids.items()}
    strange = [index for index in ids if index not in kept]
    rest = (
        f"If {', '.join(map(str, strange))} should be ignored",
        _sorted(_ignored(strange) | kept),
    )
    if layout.mapped:
        return [rest]
    if layout.label_set.names == CITYSCAPES.names:
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
    if target == IGNORE_ID or target < len(layout.label_set):
        return "ignore" if target == IGNORE_ID else target
    return str(list(layout.label_set.sets[target - len(layout.label_set)].classes))


def _ignored(ids: list[int]) -> dict[int, int | str]:
    return dict.fromkeys(ids, "ignore")


def _sorted(mapping: dict[int, int | str]) -> dict[int, int | str]:
    return dict(sorted(mapping.items()))


def _yaml(mapping: Mapping[int, int | str]) -> str:
    return "{" + ", ".join(f"{source}: {target}" for source, target in mapping.items()) + "}"


def absent_classes(
    layout: Layout, image_stats: list[ImageStats], splits: Splits
) -> Iterator[Finding]:
    """Find classes that occur in no image of train, whether another split has them or not."""
    if "train" not in splits or not splits["train"].ids.any():
        return  # said elsewhere, once and not for every class
    in_sets = {
        index
        for found in layout.label_set.sets
        if len(found.members) > 1
        for index in found.members
    }
    absent = [
        index
        for index, images in enumerate(splits["train"].images)
        if images == 0 and index not in in_sets
    ]
    elsewhere = {
        layout.label_set.names[index]: ", ".join(
            f"{plural(int(splits[split].images[index]), 'photos')} of {split}" for split in where
        )
        for index in absent
        if (
            where := [split for split in splits if split != "train" and splits[split].images[index]]
        )
    }
    nowhere = {
        layout.label_set.names[index]: ""
        for index in absent
        if layout.label_set.names[index] not in elsewhere
    }
    if elsewhere:
        yield Finding(
            kind="class-not-in-train",
            severity=ERROR,
            message=f"{plural(len(elsewhere), 'classes')} never in train, but elsewhere: "
            f"{', '.join(elsewhere)}.",
            advice="A network cannot learn what it never sees: move some of these photos to "
            "train, or map the class to ignore.",
            found=elsewhere,
            unit="classes",
        )
    if nowhere:
        yield Finding(
            kind="empty-class",
            severity=WARNING,
            message=f"{plural(len(nowhere), 'classes')} in no photo at all: {', '.join(nowhere)}.",
            advice="Check the ids of the masks against names; if nothing is missing, take the "
            "class out of names.",
            found=nowhere,
            unit="classes",
        )


def rare_classes(
    layout: Layout, image_stats: list[ImageStats], splits: Splits
) -> Iterator[Finding]:
    """Find classes that train has, but hardly."""
    if "train" not in splits:
        return
    train, rare = splits["train"], {}
    for name, share, images in zip(layout.label_set.names, train.shares, train.images, strict=True):
        if images and (share < RARE_SHARE or images < RARE_IMAGES):
            rare[name] = f"{share:.4%} of the pixels, {plural(int(images), 'photos')}"
    if rare:
        yield Finding(
            kind="rare-class",
            severity=WARNING,
            message=f"{plural(len(rare), 'classes')} hardly in train: {', '.join(rare)}.",
            advice=f"Below {RARE_SHARE:.2%} of the pixels or {RARE_IMAGES} photos little is "
            "learned: label more photos that show "
            "them, or merge them with another class by label_mapping.",
            found=rare,
            unit="classes",
        )


def unlabeled_images(
    layout: Layout, image_stats: list[ImageStats], splits: Splits
) -> Iterator[Finding]:
    """Find images all of whose pixels are ignored."""
    table, found = IdTable.of(layout.label_set, layout.train_ids), {}
    labeled: dict[str, bool] = {}
    for stats in image_stats:
        if stats.counts is None:
            continue
        void = table.ignored(stats.counts) == stats.counts.sum()
        labeled[stats.item.split] = labeled.get(stats.item.split, False) or not void
        if void:
            found[stats.item.shown] = ""
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
        message=f"{plural(len(found), 'photos')} without a labeled "
        f"pixel.{whole if void_splits else ''}",
        advice="Nothing is learned from them, nothing scored: label or remove them. If 255 or the "
        "ignore_id is a class here, "
        "say so in label_mapping.",
        found=found,
    )


LABEL_RULES = (one_class, binary_masks, unknown_ids, absent_classes, rare_classes, unlabeled_images)
