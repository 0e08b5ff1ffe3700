"""The HTML page of a data check: one file, pictures inside."""

import cv2
import numpy as np

from galago import image as images
from galago._core.html_report import render
from galago.data.check import Report
from galago.data.check.finding import plural, size_text
from galago.data.check.image_stats import ImageStats
from galago.data.check.statistics import IdTable
from galago.data.id_lookup import IdLookup

MAX_SAMPLES = 12
MAX_OFFENDERS = 12
MAX_SIZES = 8
SAMPLE_WIDTH = 400  # pixels


def draw_page(report: Report) -> str:
    """Return the page of a report; it reads the images that it shows again.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    labels = report.layout.label_set
    context = {
        "title": f"galago data check: {report.data}",
        "report": report,
        "classes": list(zip(labels.names, labels.palette, strict=True)),
        "has_sets": any(len(found.classes) > 1 for found in labels.sets),
        "sizes": _sizes(report),
        "offenders": _offenders(report),
        "samples": _samples(report),
    }
    return render("data_check.html", context)


def _sizes(report: Report) -> list[tuple[str, str]]:
    """Return each split and its commonest image sizes in words."""
    rows = []
    for name, split in report.splits.items():
        common = split.sizes.most_common()
        words = [
            f"{size_text(size)} ({plural(count, 'photos')})" for size, count in common[:MAX_SIZES]
        ]
        rest = len(common) - MAX_SIZES
        rows.append((name, ", ".join(words) + (f" and {rest} more sizes" if rest > 0 else "")))
    return rows


def _offenders(report: Report) -> list[tuple[str, str, str]]:
    """Return the images with most findings, then those with most ignored pixels.

    Each is its name, the kinds of its findings and the share of its ignored pixels.
    """
    kinds: dict[str, list[str]] = {}
    for finding in report.findings:
        for name in finding.found if finding.unit in ("photos", "masks") else ():
            kinds.setdefault(name, []).append(finding.kind)
    table = IdTable.of(report.layout.label_set, report.layout.train_ids)
    entries = []
    for stats in report.image_stats:
        name, ignored = stats.item.shown, _ignored_share(stats, table)
        if name in kinds or ignored:
            entries.append((name, kinds.get(name, []), ignored))
    entries.sort(key=lambda entry: (-len(entry[1]), -entry[2]))
    return [
        (name, ", ".join(found) or "-", f"{ignored:.1%}")
        for name, found, ignored in entries[:MAX_OFFENDERS]
    ]


def _ignored_share(stats: ImageStats, table: IdTable) -> float:
    """Return the share of pixels that have no class, 0 to 1."""
    if stats.counts is None:
        return 0.0
    labeled = int(table.classes(stats.counts).sum() + table.in_sets(stats.counts).sum())
    return 1 - labeled / int(stats.counts.sum())


def _samples(report: Report) -> list[tuple[str, np.ndarray]]:
    """Return overlays of images that can be read, spread evenly, each after its name."""
    readable = [
        stats
        for stats in report.image_stats
        if stats.counts is not None and stats.image_size == stats.mask_size
    ]
    count = min(MAX_SAMPLES, len(readable))
    chosen = [readable[(2 * index + 1) * len(readable) // (2 * count)] for index in range(count)]
    lookup = IdLookup(report.layout.train_ids)
    return [(stats.item.shown, _overlay(stats, lookup, report)) for stats in chosen]


def _overlay(stats: ImageStats, lookup: IdLookup, report: Report) -> np.ndarray:
    image = images.load(stats.item.image)
    labels = lookup(images.load_labels(stats.item.mask))
    scale = SAMPLE_WIDTH / image.shape[1]
    if scale < 1:
        size = (SAMPLE_WIDTH, max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    return images.overlay(image, labels, report.layout.label_set.colors)
