"""Is a data set fit to train on? Everything that is wrong with it, in one pass over its files.

Needs no torch.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from galago.data.check.file_rules import FILE_RULES
from galago.data.check.finding import ERROR, WARNING, Finding, plural, size_text
from galago.data.check.image_stats import ImageStats, inspect
from galago.data.check.label_rules import LABEL_RULES
from galago.data.check.layout import Layout, read_layout
from galago.data.check.statistics import IdTable, Split, summarize

__all__ = ["Finding", "ImageStats", "Layout", "Report", "Split", "check", "read_layout"]

MAX_THREADS = 8  # each holds a decoded image


@dataclass(frozen=True, eq=False)
class Report:
    """What a check found.

    Attributes:
        data: the data set, as it was named.
        layout: its files.
        image_stats: what was found in them, in their order.
        splits: sums over each split that is there.
        findings: errors first.
    """

    data: str
    layout: Layout
    image_stats: list[ImageStats]
    splits: dict[str, Split]
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """The findings with which training would fail or learn wrong labels."""
        return [finding for finding in self.findings if finding.severity == ERROR]

    @property
    def warnings(self) -> list[Finding]:
        """The other findings."""
        return [finding for finding in self.findings if finding.severity == WARNING]

    @property
    def verdict(self) -> str:
        """The number of errors and warnings in words."""
        counts = ((len(self.errors), "errors"), (len(self.warnings), "warnings"))
        return f"{', '.join(plural(count, unit) for count, unit in counts)}."

    @property
    def mapping(self) -> list[tuple[int, str, int]]:
        """The rows of the label_mapping: id in the masks, what becomes of it, its pixels.

        None without a label_mapping.
        """
        if not self.layout.mapped:
            return []
        pixels = sum((split.ids for split in self.splits.values()), np.zeros(256, np.int64))
        return [
            (source, self.layout.label_set.describe(target), int(pixels[source]))
            for source, target in sorted(self.layout.train_ids.items())
        ]

    @property
    def shown_mapping(self) -> list[tuple[str, str, int]]:
        """The rows of `mapping` with the names of the ids in the masks, where they have any."""
        names = self.layout.source_names
        return [
            (f"{source} {names.get(source, '')}".strip(), target, pixels)
            for source, target, pixels in self.mapping
        ]

    def summary(self, *, whole: bool = False) -> dict[str, Any]:
        """Return what JSON holds of it, with examples of each finding or with the whole of it."""
        return {
            "data": self.data,
            "ok": not self.errors,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "classes": list(self.layout.label_set.names),
            "label_mapping": [
                {"id": source, "becomes": target, "pixels": pixels}
                for source, target, pixels in self.mapping
            ],
            "source_names": {
                str(source): name for source, name in self.layout.source_names.items()
            },
            "splits": {name: self._split(split) for name, split in self.splits.items()},
            "findings": [finding.summary(whole=whole) for finding in self.findings],
        }

    def _split(self, split: Split) -> dict[str, Any]:
        rows = zip(
            self.layout.label_set.names,
            split.pixels.tolist(),
            split.shares,
            split.images.tolist(),
            strict=True,
        )
        return {
            "photos": split.files,
            "ignored_pixels": split.ignored,
            "unknown_pixels": split.unknown,
            "set_pixels": int(split.in_sets.sum()),
            "sizes": {size_text(size): count for size, count in split.sizes.most_common()},
            "classes": [
                {"name": name, "pixels": pixels, "share": share, "photos": images}
                for name, pixels, share, images in rows
            ],
        }


def check(layout: Layout, data: str, on_item: Callable[[], None] = lambda: None) -> Report:
    """Read all files of a data set and report what is wrong with them.

    Args:
        layout: the files, from `read_layout`.
        data: names the data set in the report.
        on_item: called after each image and its mask.
    """
    image_stats = []
    pool = ThreadPoolExecutor(
        max_workers=min(MAX_THREADS, os.cpu_count() or 1)
    )  # decoding and hashing let other threads run
    try:
        for stats in pool.map(inspect, (item for items in layout.items.values() for item in items)):
            image_stats.append(stats)
            on_item()
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the files at hand, not for all
    table, classes = IdTable.of(layout.label_set, layout.train_ids), len(layout.label_set)
    splits = {
        name: summarize((f for f in image_stats if f.item.split == name), table, classes)
        for name in layout.items
    }
    findings = [finding for rule in FILE_RULES for finding in rule(layout, image_stats)]
    findings += [finding for rule in LABEL_RULES for finding in rule(layout, image_stats, splits)]
    findings.sort(key=lambda finding: finding.severity != ERROR)  # a stable sort
    return Report(data, layout, image_stats, splits, findings)
