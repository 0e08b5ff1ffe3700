"""What can be wrong with the files: missing, damaged, of the wrong kind or size, or there twice."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from galago import image
from galago.data.check.facts import ImageStats
from galago.data.check.finding import ERROR, WARNING, Finding, plural, size_text
from galago.data.check.layout import Layout
from galago.data.colors import nearest
from galago.data.listing import PHOTO_SUFFIXES
from galago.labels import Color

MAX_KINDS = 8  # suffixes that a message shows
REPEAT = "Copy it again from where it came, or remove it with its partner."
TRAIN_ADVICE = "Training needs it: put photos there, and their masks where masks belong."
VAL_ADVICE = "Training scores its weights on it: move a tenth or a fifth of all photos there, from other places than train's."
MASK_ADVICE = {
    "unreadable": REPEAT,
    "jpeg": "JPEG changes ids at every border. Export the masks again as PNG; a JPEG saved as PNG keeps the damage.",
    "colored": "Masks need one class id per pixel. Turn colors into ids with `galago data convert colors`.",
    "three-channel": "Three equal channels hold the id three times. Save the masks with one channel (8-bit gray PNG).",
    "16-bit": "Save the masks as 8-bit PNG; ids go from 0 to 255.",
    "suffix": "Save the masks again as PNG, with the suffix .png.",
}
MASK_MESSAGES = {
    "unreadable": "cannot be read",
    "jpeg": "JPEG, which changes class ids",
    "colored": "colored",
    "three-channel": "RGB images of three equal channels",
    "16-bit": "of 16 bits per pixel",
    "suffix": "not PNG, and not looked for",
}


def missing_splits(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find splits without photos, and training data without train or val."""
    empty = {
        split: str(layout.places[split])
        for split, items in layout.items.items()
        if not any(i.has_photo for i in items)
    }
    if empty:
        yield Finding(
            kind="empty-split",
            severity=ERROR,
            message=f"{plural(len(empty), 'splits')} without a photo: {', '.join(empty)}.",
            advice="Put photos and masks there, or remove the folder (in CamVid's layout: the list).",
            found=empty,
            unit="splits",
        )
    for split, severity, advice in (("train", ERROR, TRAIN_ADVICE), ("val", WARNING, VAL_ADVICE)):
        if split not in layout.items:
            yield Finding(
                kind="missing-split",
                severity=severity,
                message=f"There is no split {split} at {layout.places[split]}.",
                advice=advice,
                found={split: str(layout.places[split])},
                unit="splits",
            )


def bad_lines(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find lines of lists that are no pair of files."""
    if layout.bad_lines:
        yield Finding(
            kind="bad-line",
            severity=ERROR,
            message=f"{plural(len(layout.bad_lines), 'lines')} of the lists cannot be read.",
            advice="Write `image mask` in every line: two paths without spaces, relative to the list.",
            found=dict.fromkeys(layout.bad_lines, ""),
            unit="lines",
        )


def other_files(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find files that no opener looks at, as photos of a format that galago does not read."""
    if layout.others:
        kinds = Counter(file.suffix.lower() or "no suffix" for file in layout.others)
        suffixes = ", ".join(
            f"{count:,} {suffix}" for suffix, count in kinds.most_common(MAX_KINDS)
        )
        yield Finding(
            kind="other-file",
            severity=WARNING,
            message=f"{plural(len(layout.others), 'files')} among photos and masks are left out: {suffixes}.",
            advice=f"Convert photos to one of {', '.join(PHOTO_SUFFIXES)} and masks to .png; keep other files elsewhere.",
            found={str(file): "" for file in layout.others},
            unit="files",
        )


def missing_partners(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find photos without a mask and masks without a photo."""
    no_mask = [fact.item for fact in facts if not fact.item.has_mask]
    no_photo = [fact.item for fact in facts if not fact.item.has_photo]
    hint = _ending(
        [item.name for item in no_mask if item.has_photo],
        [item.name for item in no_photo if item.has_mask],
    )
    if no_mask:
        yield Finding(
            kind="photo-without-mask",
            severity=ERROR,
            message=f"{plural(len(no_mask), 'photos')} without a mask.",
            advice=hint
            or "Add the masks, under the photo's name and as .png, or remove the photos.",
            found={item.shown: f"expected {item.mask}" for item in no_mask},
        )
    if no_photo:
        yield Finding(
            kind="mask-without-photo",
            severity=ERROR,
            message=f"{plural(len(no_photo), 'masks')} without a photo.",
            advice=hint or "Add the photos, under the mask's name, or remove the masks.",
            found={item.shown: f"the mask is {item.mask}" for item in no_photo},
            unit="masks",
        )


def _ending(photos: list[str], masks: list[str]) -> str:
    """Say so if the masks are named after photos, but with something more at the end, as `a_mask`
    for `a`.
    """
    for mask in masks:
        for photo in photos:
            if mask.startswith(photo) and not mask[len(photo) :][:1].isdigit():
                ending = mask[len(photo) :]
                if sum(f"{name}{ending}" in masks for name in photos) * 2 > len(photos):
                    return f"Masks end in {ending!r} where photos do not: give each mask exactly its photo's name."
    return ""


def same_names(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find two photos of one name in a split, as a.jpg and a.png."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for fact in facts:
        if fact.item.has_photo:
            groups[fact.item.shown].append(fact.item.photo)
    if twice := {
        name: " and ".join(map(str, files)) for name, files in groups.items() if len(files) > 1
    }:
        yield Finding(
            kind="same-name",
            severity=ERROR,
            message=f"{plural(len(twice), 'names')} belong to more than one photo.",
            advice="Rename or remove all but one: a name stands for one photo and its mask.",
            found=twice,
        )


def rival_masks(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find masks that differ from another in their suffix alone, as a.tif beside a.png."""
    if layout.rivals:
        yield Finding(
            kind="same-name-mask",
            severity=ERROR,
            message=f"{plural(len(layout.rivals), 'masks')} of a name that another mask has.",
            advice="Remove all but one: nobody knows which one belongs to the photo.",
            found={str(rival): f"beside {mask.name}" for rival, mask in layout.rivals.items()},
            unit="masks",
        )


def unreadable_photos(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find photos that are empty, cut short or no photos."""
    if bad := {fact.item.shown: fact.photo_fault for fact in facts if fact.photo_fault}:
        yield Finding(
            kind="unreadable-photo",
            severity=ERROR,
            message=f"{plural(len(bad), 'photos')} cannot be read.",
            advice=REPEAT,
            found=bad,
        )


def unusable_masks(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find masks that are damaged, colored, JPEG or otherwise hold no ids."""
    for kind, advice in MASK_ADVICE.items():
        bad = [fact for fact in facts if fact.mask_fault and fact.mask_fault.kind == kind]
        if not bad:
            continue
        message = f"{plural(len(bad), 'masks')}: {MASK_MESSAGES[kind]}."
        if kind == "colored":
            message += f" Commonest colors: {_colors(layout, bad)}."
        found = {
            fact.item.shown: fact.mask_fault.message if kind == "unreadable" else ""
            for fact in bad
            if fact.mask_fault
        }
        yield Finding(
            kind=f"{kind}-mask",
            severity=ERROR,
            message=message,
            advice=advice,
            found=found,
            unit="masks",
        )


def _colors(layout: Layout, facts: list[ImageStats]) -> str:
    """Name the commonest colors of colored masks."""
    total: dict[Color, int] = defaultdict(int)
    for fact in facts:
        for color, count in fact.mask_fault.colors if fact.mask_fault else ():
            total[color] += count
    common = sorted(total.items(), key=lambda entry: -entry[1])[:8]
    return ", ".join(
        f"{color} {count:,} pixels{nearest(color, layout.labels)}" for color, count in common
    )


def size_mismatches(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find masks of another size than their photo."""
    bad = {
        fact.item.shown: (fact.photo_size, fact.mask_size)
        for fact in facts
        if fact.photo_size and fact.mask_size and fact.photo_size != fact.mask_size
    }
    if not bad:
        return
    advice = "A mask needs one pixel for each of its photo: pair the right files, or resize the mask with nearest neighbor."
    if all(photo == mask[::-1] for photo, mask in bad.values()):
        advice = "Width and height are swapped: these photos carry a camera orientation that the masks lack. Turn the masks."
    found = {
        name: f"photo {size_text(photo)}, mask {size_text(mask)}"
        for name, (photo, mask) in bad.items()
    }
    message = f"{plural(len(bad), 'masks')} of another size than the photo."
    yield Finding(
        kind="size-mismatch",
        severity=ERROR,
        message=message,
        advice=advice,
        found=found,
        unit="masks",
    )


def silent_turns(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find photos that EXIF turns or mirrors and whose size does not show it."""
    turned = {
        f.item.shown: f"orientation {f.header.orientation}"
        for f in facts
        if f.photo_size and f.header.turns_silently
    }
    if not turned:
        return
    advice = (
        "galago turns photos upright as EXIF says. Look at the samples in report.html: if the "
        "labels lie elsewhere, they were "
        "drawn by a tool that ignores EXIF; turn the masks, or take the orientation out of the "
        "photos."
    )
    sideways = [
        f
        for f in facts
        if f.mask_size and f.mask_size == f.header.size and f.mask_size != f.photo_size
    ]
    if sideways:
        advice = f"{plural(len(sideways), 'masks')} of others fit the photo unturned, so these are nearly surely wrong. {advice}"
    yield Finding(
        kind="exif-orientation",
        severity=WARNING,
        message=f"{plural(len(turned), 'photos')} with an EXIF orientation that turns pixels and changes no size.",
        advice=advice,
        found=turned,
    )


def dark_photos(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find photos of 8, 10, 12 or 14 bits in files of 16, which look black."""
    dark = {
        fact.item.shown: f"brightest value {fact.brightest} of 255"
        for fact in facts
        if fact.photo_size and image.describe_depth(fact.header.depth, fact.brightest)
    }
    if dark:
        yield Finding(
            kind="dark-photo",
            severity=WARNING,
            message=f"{plural(len(dark), 'photos')} of 16 bits are nearly black.",
            advice="Cameras of 10, 12 or 14 bits write so: multiply the values by 64, 16 or 4, or save the photos with 8 bits.",
            found=dark,
        )


def duplicates(layout: Layout, facts: list[ImageStats]) -> Iterator[Finding]:
    """Find photos of the same pixels, in two splits or in one."""
    groups: dict[str, list[ImageStats]] = defaultdict(list)
    for fact in facts:
        if fact.photo_hash:
            groups[fact.photo_hash].append(fact)
    across: dict[str, str] = {}
    inside: dict[str, str] = {}
    for group in groups.values():
        splits = {fact.item.split for fact in group}
        files = {(fact.item.split, fact.item.photo) for fact in group}
        if len(files) == 1:  # one line of a list stands there twice: same-name
            continue
        rest = ", ".join(fact.item.shown for fact in group[1:4])
        (across if len(splits) > 1 else inside)[group[0].item.shown] = f"same as {rest}"
    if across:
        yield Finding(
            kind="split-leak",
            severity=ERROR,
            message=f"{plural(len(across), 'photos')} in more than one split.",
            advice="Scores on photos that were trained on mean nothing: keep each photo in one split only.",
            found=across,
        )
    if inside:
        yield Finding(
            kind="duplicate-photo",
            severity=WARNING,
            message=f"{plural(len(inside), 'photos')} more than once in one split.",
            advice="Remove the copies, or keep them if these photos should count more; their masks should agree.",
            found=inside,
        )


FILE_RULES = (
    missing_splits,
    bad_lines,
    other_files,
    missing_partners,
    same_names,
    rival_masks,
    unreadable_photos,
    unusable_masks,
    size_mismatches,
    silent_turns,
    dark_photos,
    duplicates,
)
