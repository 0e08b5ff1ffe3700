"""What can be wrong with the files: missing, damaged, of the wrong kind or size, or there twice."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from galago import image as images
from galago.data.check.finding import ERROR, WARNING, Finding, plural, size_text
from galago.data.check.image_stats import ImageStats
from galago.data.check.layout import Layout
from galago.data.colors import nearest
from galago.image import IMAGE_SUFFIXES
from galago.labels import Color

MAX_KINDS = 8  # suffixes that a message shows
REPEAT = "Copy it again from its source, or remove it with its partner."
TRAIN_ADVICE = "Training needs it: put photos there, and their masks where masks belong."
VAL_ADVICE = (
    "Training scores its weights on it: move a tenth or a fifth of all photos there, "
    "from other places than train's."
)
MASK_ADVICE = {
    "unreadable": REPEAT,
    "jpeg": (
        "JPEG changes ids at every border. Export the masks again as PNG; a JPEG saved as PNG "
        "keeps the damage."
    ),
    "colored": (
        "Masks need one class id per pixel. Turn colors into ids with `galago data convert colors`."
    ),
    "three-channel": (
        "Three equal channels hold the id three times. Save the masks with one "
        "channel (8-bit gray PNG)."
    ),
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


def missing_splits(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find splits without images, and training data without train or val."""
    empty = {
        split: str(layout.places[split])
        for split, items in layout.items.items()
        if not any(i.has_image for i in items)
    }
    if empty:
        yield Finding(
            kind="empty-split",
            severity=ERROR,
            message=f"{plural(len(empty), 'splits')} without a photo: {', '.join(empty)}.",
            advice="Put photos and masks there, or remove the folder (in CamVid's layout: the "
            "list).",
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


def bad_lines(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find lines of lists that are no pair of files."""
    if layout.bad_lines:
        yield Finding(
            kind="bad-line",
            severity=ERROR,
            message=f"{plural(len(layout.bad_lines), 'lines')} of the lists cannot be read.",
            advice="Write `image mask` in every line: two paths without spaces, relative to the "
            "list.",
            found=dict.fromkeys(layout.bad_lines, ""),
            unit="lines",
        )


def other_files(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find files that no opener looks at, such as images of a format that galago does not read."""
    if layout.others:
        kinds = Counter(file.suffix.lower() or "no suffix" for file in layout.others)
        suffixes = ", ".join(
            f"{count:,} {suffix}" for suffix, count in kinds.most_common(MAX_KINDS)
        )
        yield Finding(
            kind="other-file",
            severity=WARNING,
            message=f"{plural(len(layout.others), 'files')} among photos and masks are left out: "
            f"{suffixes}.",
            advice=f"Convert photos to one of {', '.join(IMAGE_SUFFIXES)} and masks to .png; keep "
            "other files elsewhere.",
            found={str(file): "" for file in layout.others},
            unit="files",
        )


def missing_partners(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find images without a mask and masks without an image."""
    no_mask = [stats.item for stats in image_stats if not stats.item.has_mask]
    no_image = [stats.item for stats in image_stats if not stats.item.has_image]
    hint = _ending(
        [item.name for item in no_mask if item.has_image],
        [item.name for item in no_image if item.has_mask],
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
    if no_image:
        yield Finding(
            kind="mask-without-photo",
            severity=ERROR,
            message=f"{plural(len(no_image), 'masks')} without a photo.",
            advice=hint or "Add the photos, under the mask's name, or remove the masks.",
            found={item.shown: f"the mask is {item.mask}" for item in no_image},
            unit="masks",
        )


def _ending(images: list[str], masks: list[str]) -> str:
    """Return advice if masks are named as images with an ending (`a_mask` for `a`), else ""."""
    for mask in masks:
        for image in images:
            if mask.startswith(image) and not mask[len(image) :][:1].isdigit():
                ending = mask[len(image) :]
                if sum(f"{name}{ending}" in masks for name in images) * 2 > len(images):
                    return (
                        f"Masks end in {ending!r} where photos do not: give each mask exactly "
                        "its photo's name."
                    )
    return ""


def same_names(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find two images of one name in a split, such as a.jpg and a.png."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for stats in image_stats:
        if stats.item.has_image:
            groups[stats.item.shown].append(stats.item.image)
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


def rival_masks(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find masks that differ from another in their suffix alone, such as a.tif beside a.png."""
    if layout.rivals:
        yield Finding(
            kind="same-name-mask",
            severity=ERROR,
            message=f"{plural(len(layout.rivals), 'masks')} of a name that another mask has.",
            advice="Remove all but one: it is unclear which one belongs to the photo.",
            found={str(rival): f"beside {mask.name}" for rival, mask in layout.rivals.items()},
            unit="masks",
        )


def unreadable_images(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find images that are empty, cut short or no images."""
    if bad := {stats.item.shown: stats.image_fault for stats in image_stats if stats.image_fault}:
        yield Finding(
            kind="unreadable-photo",
            severity=ERROR,
            message=f"{plural(len(bad), 'photos')} cannot be read.",
            advice=REPEAT,
            found=bad,
        )


def unusable_masks(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find masks that are damaged, colored, JPEG or otherwise hold no ids."""
    for kind, advice in MASK_ADVICE.items():
        bad = [stats for stats in image_stats if stats.mask_fault and stats.mask_fault.kind == kind]
        if not bad:
            continue
        message = f"{plural(len(bad), 'masks')}: {MASK_MESSAGES[kind]}."
        if kind == "colored":
            message += f" Commonest colors: {_colors(layout, bad)}."
        found = {
            stats.item.shown: stats.mask_fault.message if kind == "unreadable" else ""
            for stats in bad
            if stats.mask_fault
        }
        yield Finding(
            kind=f"{kind}-mask",
            severity=ERROR,
            message=message,
            advice=advice,
            found=found,
            unit="masks",
        )


def _colors(layout: Layout, image_stats: list[ImageStats]) -> str:
    """Name the commonest colors of colored masks."""
    total: dict[Color, int] = defaultdict(int)
    for stats in image_stats:
        for color, count in stats.mask_fault.colors if stats.mask_fault else ():
            total[color] += count
    common = sorted(total.items(), key=lambda entry: -entry[1])[:8]
    return ", ".join(
        f"{color} {count:,} pixels{nearest(color, layout.label_set)}" for color, count in common
    )


def size_mismatches(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find masks of another size than their image."""
    bad = {
        stats.item.shown: (stats.image_size, stats.mask_size)
        for stats in image_stats
        if stats.image_size and stats.mask_size and stats.image_size != stats.mask_size
    }
    if not bad:
        return
    advice = (
        "A mask needs one pixel for each of its photo: pair the right files, or resize the "
        "mask with nearest neighbor."
    )
    if all(image == mask[::-1] for image, mask in bad.values()):
        advice = (
            "Width and height are swapped: these photos carry a camera orientation that the "
            "masks lack. Turn the masks."
        )
    found = {
        name: f"photo {size_text(image)}, mask {size_text(mask)}"
        for name, (image, mask) in bad.items()
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


def silent_turns(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find images that EXIF turns or mirrors and whose size does not show it."""
    turned = {
        f.item.shown: f"orientation {f.header.orientation}"
        for f in image_stats
        if f.image_size and f.header.turns_silently
    }
    if not turned:
        return
    advice = (
        "galago turns photos upright as EXIF says. Look at the samples in report.html: if the "
        "labels are elsewhere, they were "
        "drawn by a tool that ignores EXIF; turn the masks, or take the orientation out of the "
        "photos."
    )
    sideways = [
        f
        for f in image_stats
        if f.mask_size and f.mask_size == f.header.size and f.mask_size != f.image_size
    ]
    if sideways:
        advice = (
            f"{plural(len(sideways), 'masks')} of others fit the photo unturned, so these "
            f"are nearly surely wrong. {advice}"
        )
    yield Finding(
        kind="exif-orientation",
        severity=WARNING,
        message=f"{plural(len(turned), 'photos')} with an EXIF orientation that turns pixels and "
        "changes no size.",
        advice=advice,
        found=turned,
    )


def dark_images(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find images of 8, 10, 12 or 14 bits in files of 16, which look black."""
    dark = {
        stats.item.shown: f"brightest value {stats.brightest} of 255"
        for stats in image_stats
        if stats.image_size and images.describe_depth(stats.header.depth, stats.brightest)
    }
    if dark:
        yield Finding(
            kind="dark-photo",
            severity=WARNING,
            message=f"{plural(len(dark), 'photos')} of 16 bits are nearly black.",
            advice="Cameras of 10, 12 or 14 bits write so: multiply the values by 64, 16 or 4, "
            "or save the photos with 8 bits.",
            found=dark,
        )


def duplicates(layout: Layout, image_stats: list[ImageStats]) -> Iterator[Finding]:
    """Find images of the same pixels, in two splits or in one."""
    groups: dict[str, list[ImageStats]] = defaultdict(list)
    for stats in image_stats:
        if stats.image_hash:
            groups[stats.image_hash].append(stats)
    across: dict[str, str] = {}
    inside: dict[str, str] = {}
    for group in groups.values():
        splits = {stats.item.split for stats in group}
        files = {(stats.item.split, stats.item.image) for stats in group}
        if len(files) == 1:  # one line of a list occurs twice: same-name
            continue
        rest = ", ".join(stats.item.shown for stats in group[1:4])
        (across if len(splits) > 1 else inside)[group[0].item.shown] = f"same as {rest}"
    if across:
        yield Finding(
            kind="split-leak",
            severity=ERROR,
            message=f"{plural(len(across), 'photos')} in more than one split.",
            advice="Scores on photos that were trained on mean nothing: keep each photo in one "
            "split only.",
            found=across,
        )
    if inside:
        yield Finding(
            kind="duplicate-photo",
            severity=WARNING,
            message=f"{plural(len(inside), 'photos')} more than once in one split.",
            advice="Remove the copies, or keep them if these photos should count more; their "
            "masks should agree.",
            found=inside,
        )


FILE_RULES = (
    missing_splits,
    bad_lines,
    other_files,
    missing_partners,
    same_names,
    rival_masks,
    unreadable_images,
    unusable_masks,
    size_mismatches,
    silent_turns,
    dark_images,
    duplicates,
)
