"""The HTML page of a check: one file, pictures inside."""

import cv2
import numpy as np

from galago import image as images
from galago._core.html_report import document, escape, picture, table
from galago.data.check import Report
from galago.data.check.facts import ImageStats
from galago.data.check.finding import Finding, plural, size_text
from galago.data.check.statistics import IdTable, Split
from galago.labels import IGNORE_ID

STYLE = """
.finding { border-left: 4px solid #d4a72c; padding: .1rem 1rem; margin: 1rem 0 } .finding.error { border-color: #cf222e }
.kind { font: 13px ui-monospace, monospace; color: #57606a } ul { margin: .2rem 0 }
.bar { display: inline-block; height: .6em; background: #8c959f; border-radius: 2px; margin-left: .5em }
"""
PICTURES = 12
OFFENDERS = 12
SIZES = 8
PICTURE_WIDTH, PICTURE_QUALITY = 400, 75  # pixels, JPEG
BAR_REM = 6  # length of a bar for a share of 1


def draw_page(report: Report) -> str:
    """Return the page of a report; it reads the photos that it shows again."""
    errors, warnings = len(report.errors), len(report.warnings)
    verdict = (
        f"{plural(errors, 'errors')}, {plural(warnings, 'warnings')}."
        if report.findings
        else "Nothing to complain about."
    )
    parts = [f'<p class="verdict {"bad" if errors else "ok"}">{verdict}</p>']
    parts += [_finding(finding) for finding in report.findings]
    parts += ["<h2>Classes</h2>", _classes(report)]
    if report.mapping:
        rows = [
            [escape(source), escape(target), f"{pixels:,}"]
            for source, target, pixels in report.shown_mapping
        ]
        parts += ["<h2>label_mapping</h2>", table(["id in the masks", "becomes", "pixels"], rows)]
    parts += [
        "<h2>Sizes</h2>",
        _sizes(report.splits),
        "<h2>Worst offenders</h2>",
        _offenders(report),
    ]
    parts += [
        "<h2>Samples</h2><p>Ignored pixels are dark.</p>",
        '<div class="pictures">',
        *_pictures(report),
        "</div>",
    ]
    return document(f"galago data check: {report.data}", parts, STYLE)


def _finding(finding: Finding) -> str:
    examples = "".join(f"<li>{escape(example)}</li>" for example in finding.examples)
    rest = len(finding.found) - len(finding.examples)
    more = f"<li>and {rest:,} more</li>" if rest else ""
    return (
        f'<div class="finding {finding.severity}"><b>{finding.severity}</b> <span '
        f'class="kind">{finding.kind}</span>'
        f"<br>{escape(finding.message)}<br>{escape(finding.advice)}<ul>{examples}{more}</ul></div>"
    )


def _classes(report: Report) -> str:
    """Draw share of the labeled pixels and photos of each class, by split."""
    heads, labels = ["class"], report.layout.labels
    for name, split in report.splits.items():
        heads += [f"{name}: share of the labeled pixels", f"photos of {split.files:,}"]
    rows = []
    for index, (name, color) in enumerate(zip(labels.names, labels.palette, strict=True)):
        row = [f'<span class="chip" style="background: rgb{color}"></span>{index} {escape(name)}']
        for split in report.splits.values():
            share = split.shares[index]
            bar = f'<span class="bar" style="width: {BAR_REM * share:.2f}rem"></span>'
            row += [f"{share:.3%}{bar}", f"{split.photos[index]:,}"]
        rows.append(row)
    if any(len(found.classes) > 1 for found in labels.sets):
        row = ["labels that stand for several classes"]
        for split in report.splits.values():
            row += [
                f"{split.in_sets.sum() / max(1, split.pixels.sum() + split.in_sets.sum()):.3%}",
                "",
            ]
        rows.append(row)
    for what, count in (("ignored", "ignored"), ("ids without a meaning", "unknown")):
        row = [what]
        for split in report.splits.values():
            row += [f"{getattr(split, count) / max(1, split.ids.sum()):.3%} of all pixels", ""]
        rows.append(row)
    return table(heads, rows)


def _sizes(splits: dict[str, Split]) -> str:
    rows = []
    for name, split in splits.items():
        common = split.sizes.most_common()
        text = ", ".join(
            f"{size_text(size)} ({plural(count, 'photos')})" for size, count in common[:SIZES]
        )
        rows.append(
            [name, text + (f" and {len(common) - SIZES} more sizes" if len(common) > SIZES else "")]
        )
    return table(["split", "width x height"], rows)


def _offenders(report: Report) -> str:
    """Draw the photos that most findings are about, then those with most pixels that count nowhere."""
    kinds: dict[str, list[str]] = {}
    for finding in report.findings:
        for name in finding.found if finding.unit in ("photos", "masks") else ():
            kinds.setdefault(name, []).append(finding.kind)
    ids = IdTable.of(report.layout.labels, report.layout.train_ids)

    def lost(fact: ImageStats) -> float:
        """Return the share of pixels that count nowhere."""
        if fact.counts is None:
            return 0.0
        labeled = int(ids.classes(fact.counts).sum() + ids.in_sets(fact.counts).sum())
        return 1 - labeled / int(fact.counts.sum())

    entries = [
        (len(kinds.get(fact.item.shown, [])), lost(fact), fact.item.shown) for fact in report.facts
    ]
    worst = sorted(
        (entry for entry in entries if entry[0] or entry[1]),
        key=lambda entry: (-entry[0], -entry[1]),
    )[:OFFENDERS]
    if not worst:
        return "<p>None: every pixel of every photo has a class.</p>"
    rows = [
        [escape(name), ", ".join(kinds.get(name, [])) or "-", f"{share:.1%}"]
        for _, share, name in worst
    ]
    return table(["photo", "findings", "pixels that count nowhere"], rows)


def _pictures(report: Report) -> list[str]:
    """Draw photos under their labels, spread evenly over all that can be read."""
    good = [
        fact
        for fact in report.facts
        if fact.counts is not None and fact.photo_size == fact.mask_size
    ]
    count = min(PICTURES, len(good))
    chosen = [good[(2 * index + 1) * len(good) // (2 * count)] for index in range(count)]
    targets = np.full(256, IGNORE_ID, np.uint8)
    for source, target in report.layout.train_ids.items():
        targets[source] = target
    return [_picture(fact, targets, report) for fact in chosen]


def _picture(fact: ImageStats, targets: np.ndarray, report: Report) -> str:
    photo, labels = images.load(fact.item.photo), targets[images.load_labels(fact.item.mask)]
    scale = PICTURE_WIDTH / photo.shape[1]
    if scale < 1:
        size = (PICTURE_WIDTH, max(1, round(photo.shape[0] * scale)))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    blended = images.overlay(photo, labels, report.layout.labels.colors)
    _, jpeg = cv2.imencode(
        ".jpg",
        np.ascontiguousarray(blended[..., ::-1]),
        [cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY],
    )
    words = fact.item.shown
    return f"<figure>{picture(jpeg.tobytes(), 'jpeg', words)}<figcaption>{escape(words)}</figcaption></figure>"
