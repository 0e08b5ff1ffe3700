"""The HTML page of an evaluation: one file, pictures inside."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from galago._core.atomic_io import write_whole
from galago._core.html_report import document, escape, picture
from galago._core.printable import drawable
from galago.evaluation.boundary import BAND_SHARE
from galago.evaluation.label_counts import settle
from galago.evaluation.worst import WorstSample
from galago.labels import LabelSet

if TYPE_CHECKING:
    from galago.evaluation.calibration import Calibration
    from galago.evaluation.results import Evaluation

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, INK, GRAY = (255, 255, 255), (30, 30, 30), (225, 225, 225)
FULL = np.array((8, 48, 107))  # dark blue: all pixels of a row
MAX_CLASSES_WITH_TEXT = 40  # beyond, numbers do not fit into cells
MARGIN = 12  # pixels around the picture, and between names and cells
CAPTION = "Rows: true class. Columns: predicted class. Cells: percent of the true class's pixels."


def draw_confusion(confusion: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix, each row scaled to 100 percent.

    Args:
        confusion: (K, K) pixels: rows are true classes, columns predicted ones; the row of an
            absent class stays gray.
        names: K class names.
    Returns:
        (H, W, 3) uint8 RGB, H and W by the number of classes.
    """
    num_classes = len(names)
    cell, text_scale = (44, 0.5) if num_classes <= MAX_CLASSES_WITH_TEXT else (13, 0.35)
    tags = [_text(drawable(name), text_scale) for name in names]  # OpenCV dies of surrogates
    margin = max(tag.shape[1] for tag in tags) + 2 * MARGIN
    caption = _text(CAPTION, 0.5)
    top = margin + caption.shape[0] + MARGIN
    side = num_classes * cell
    canvas = np.full(
        (top + side + MARGIN, max(margin + side, caption.shape[1] + MARGIN) + MARGIN, 3),
        WHITE,
        np.uint8,
    )
    _paste(canvas, caption, MARGIN, MARGIN)
    for index, tag in enumerate(tags):
        center = index * cell + cell // 2
        _paste(canvas, tag, top + center - tag.shape[0] // 2, margin - MARGIN // 2 - tag.shape[1])
        upright = np.rot90(tag)  # read from below
        _paste(
            canvas,
            upright,
            top - MARGIN // 2 - upright.shape[0],
            margin + center - upright.shape[1] // 2,
        )
    canvas[top : top + side, margin : margin + side] = _cells(confusion, cell, text_scale)
    return canvas


def _cells(confusion: np.ndarray, cell: int, text_scale: float) -> np.ndarray:
    """Draw the square of colored cells, (K * cell, K * cell, 3) uint8."""
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)
    strength = np.sqrt(shares)[
        ..., None
    ]  # the root lifts small shares, which are the mistakes one looks for
    colors = (
        np.where(totals[..., None] > 0, WHITE + strength * (FULL - WHITE), GRAY)
        .round()
        .astype(np.uint8)
    )
    picture = colors.repeat(cell, axis=0).repeat(cell, axis=1)
    picture[::cell] = picture[:, ::cell] = GRAY
    if len(confusion) > MAX_CLASSES_WITH_TEXT:
        return picture
    for row, column in np.argwhere(shares >= 0.005):  # smaller ones would read 0
        share = shares[row, column]
        color = WHITE if share > 0.25 else INK
        tag = _text(
            f"{100 * share:.0f}", 0.9 * text_scale, color, tuple(colors[row, column].tolist())
        )
        corner = [
            index * cell + (cell - length) // 2
            for index, length in zip((row, column), tag.shape[:2], strict=True)
        ]
        _paste(picture, tag, *corner)
    return picture


def _text(
    text: str, scale: float, color: tuple[int, ...] = INK, background: tuple[int, ...] = WHITE
) -> np.ndarray:
    """Draw one line of text on a strip that fits it, (h, w, 3) uint8."""
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    strip = np.full((height + below, width + 1, 3), background, np.uint8)
    return np.asarray(cv2.putText(strip, text, (0, height), FONT, scale, color, 1, cv2.LINE_AA))


def _paste(canvas: np.ndarray, patch: np.ndarray, top: int, left: int) -> None:
    """Put a patch onto a canvas, in place."""
    height, width = patch.shape[:2]
    canvas[top : top + height, left : left + width] = patch


FILES = ("metrics.json", "confusion.png", "report.html")
STYLE = """
td.bar, td.words { text-align: left }
.bar { width: 14rem } .bar div { background: #1f6feb; height: .8em } .bar div + div { background: #9ec5fe; height: .25em }
"""
JPEG_QUALITY = 80
SHOWN_CONFUSIONS = 12
SMALLEST_CONFUSION = 0.01  # share of a class's pixels; less is not worth a line
RIGHT, WRONG, UNLABELED = (232, 232, 232), (214, 39, 40), (255, 255, 255)


def draw_page(
    evaluation: "Evaluation", *, title: str, setup: Mapping[str, Any], confusion_png: bytes
) -> str:
    """Return the page of an evaluation.

    Args:
        evaluation: what was found.
        title: says what was scored on what.
        setup: how it was scored; values that are text or numbers are shown.
        confusion_png: the picture of the confusion matrix.
    """
    shown = [
        (name, value)
        for name, value in setup.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    ]
    parts = [
        f"<p>{'; '.join(f'{escape(name)}: {escape(str(value))}' for name, value in shown)}</p>"
        if shown
        else "",
        _figures(evaluation.figures()),
        _classes(evaluation),
        _sets(evaluation),
        _confusions(evaluation),
        f"<h2>Confusion matrix</h2>{picture(confusion_png, 'png', 'confusion matrix')}",
    ]
    if evaluation.calibration:
        parts.append(_calibration(evaluation.calibration))
    if evaluation.worst:
        parts.append(_worst(evaluation.worst, evaluation.labels))
    return document(title, parts, STYLE)


def largest_confusions(counts: np.ndarray, names: Sequence[str]) -> list[str]:
    """Say in words which classes are taken for which, the largest share of a class first.

    Args:
        counts: (K, K) pixels: rows are true classes, columns predicted ones.
        names: K class names.
    Returns:
        lines such as "fence taken for building: 31 % of fence".
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:SHOWN_CONFUSIONS]
    places = (np.unravel_index(index, shares.shape) for index in order)
    return [
        f"{names[true]} taken for {names[claimed]}: {100 * shares[true, claimed]:.0f} % of "
        f"{names[true]}"
        for true, claimed in places
        if shares[true, claimed] >= SMALLEST_CONFUSION
    ]


def error_map(truth: np.ndarray, guess: np.ndarray, num_classes: int) -> np.ndarray:
    """Paint wrong pixels red, right ones gray and unlabeled ones white: (H, W, 3) uint8 RGB."""
    picture = np.where((truth == guess)[..., None], RIGHT, WRONG).astype(np.uint8)
    picture[truth >= num_classes] = UNLABELED
    return picture


def _figures(figures: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td>{escape(value)}</td><td class="words">{escape(meaning)}</td></tr>'
        for value, meaning in figures
    )
    return f"<h2>Figures</h2><table>{rows}</table>"


def _classes(evaluation: "Evaluation") -> str:
    scores, boundary = evaluation.scores, evaluation.boundary
    near: Sequence[float | None] = boundary.iou if boundary else (None,) * len(scores.names)
    rows = []
    columns = zip(
        scores.names,
        evaluation.labels.palette,
        scores.iou,
        near,
        scores.accuracy,
        scores.dice,
        scores.share,
        strict=True,
    )
    for name, color, iou, outline, accuracy, dice, share in columns:
        values = (iou, outline, accuracy, dice) if boundary else (iou, accuracy, dice)
        bars = "".join(
            f'<div style="width:{100 * (value or 0):.1f}%"></div>'
            for value in values[: 1 + bool(boundary)]
        )
        cells = "".join(
            f"<td>{'n/a' if value is None else format(value, '.4f')}</td>" for value in values
        )
        chip = f'<span class="chip" style="background:rgb{color}"></span>'
        rows.append(
            f"<tr><td>{chip}{escape(name)}</td><td "
            f'class="bar">{bars}</td>{cells}<td>{share:.2%}</td></tr>'
        )
    heads = (
        "class",
        "",
        "IoU",
        *(("boundary IoU",) if boundary else ()),
        "accuracy",
        "Dice",
        "pixels",
    )
    about = (
        f"<p>The thin bar is the boundary IoU, in a band of {BAND_SHARE:.0%} of the diagonal.</p>"
        if boundary
        else ""
    )
    head = "".join(f"<th>{text}</th>" for text in heads)
    return f"<h2>Classes</h2><table><tr>{head}</tr>{''.join(rows)}</table>{about}"


def _sets(evaluation: "Evaluation") -> str:
    """Draw the scores of labels that stand for several classes, where there are any."""
    scores = evaluation.scores
    if not scores.sets:
        return ""
    rows = []
    for found, iou, accuracy, share in zip(
        scores.sets, scores.set_iou, scores.set_accuracy, scores.set_share, strict=True
    ):
        values = "".join(
            f"<td>{'n/a' if value is None else format(value, '.4f')}</td>"
            for value in (iou, accuracy)
        )
        classes = " or ".join(scores.names[index] for index in found.classes)
        bar = f'<div style="width:{100 * (iou or 0):.1f}%"></div>'
        rows.append(
            f'<tr><td>{escape(found.name)}</td><td class="words">{escape(classes)}</td><td '
            f'class="bar">{bar}</td>'
            f"{values}<td>{share:.2%}</td></tr>"
        )
    head = "".join(
        f"<th>{text}</th>" for text in ("label", "stands for", "", "IoU", "accuracy", "pixels")
    )
    about = "A prediction among the classes of a label is right; means are over classes and labels."
    return f"<h2>Labels that stand for several classes</h2><p>{about}</p><table><tr>{head}</tr>{''.join(rows)}</table>"


def _confusions(evaluation: "Evaluation") -> str:
    lines = largest_confusions(evaluation.scores.confusion, evaluation.scores.names)
    items = (
        "".join(f"<li>{escape(line)}</li>" for line in lines)
        or "<li>None above 1 % of a class.</li>"
    )
    return f"<h2>Largest confusions</h2><ul>{items}</ul>"


def _calibration(calibration: "Calibration") -> str:
    rows = []
    for share in calibration.summary()["bins"]:
        bars = "".join(
            f'<div style="width:{100 * share[name]:.1f}%"></div>'
            for name in ("accuracy", "confidence")
        )
        cells = "".join(f"<td>{share[name]:.4f}</td>" for name in ("confidence", "accuracy"))
        rows.append(
            f"<tr><td>up to {share['up_to']:.2f}</td><td "
            f'class="bar">{bars}</td>{cells}<td>{share["pixels"]}</td></tr>'
        )
    head = "<tr><th>confidence</th><th></th><th>its mean</th><th>accuracy</th><th>pixels</th></tr>"
    about = "<p>Thick bar: accuracy. Thin bar: mean confidence. Where both are alike, probabilities hold what they say.</p>"
    return f"<h2>Calibration</h2><table>{head}{''.join(rows)}</table>{about}"


def _worst(photos: Sequence[WorstSample], labels: LabelSet) -> str:
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(labels.colors)] = labels.colors
    parts = [
        "<h2>Worst photos</h2><p>By the mean IoU of the photo. Unlabeled pixels: black in the "
        "truth, white among errors.</p>"
    ]
    for photo in photos:
        shown = (
            (_jpeg(photo.image), "jpeg", "photo"),
            (_png(colors[photo.truth]), "png", "truth"),
            (_png(colors[photo.guess]), "png", "prediction"),
            (
                _png(error_map(settle(photo.truth, photo.guess, labels), photo.guess, len(labels))),
                "png",
                "errors",
            ),
        )
        figures = "".join(
            f"<figure>{picture(data, kind, caption)}<figcaption>{caption}</figcaption></figure>"
            for data, kind, caption in shown
        )
        said = f"{escape(photo.name)}: mean IoU {photo.mean_iou:.4f}, {photo.wrong:.1%} of the labeled pixels wrong"
        parts.append(f'<h3>{said}</h3><div class="pictures">{figures}</div>')
    return "".join(parts)


def _jpeg(image: np.ndarray) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), settings)[1].tobytes()


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()


def save_report(
    result: "Evaluation", folder: Path, *, title: str, setup: Mapping[str, Any]
) -> None:
    """Write `metrics.json`, `confusion.png` and `report.html` into a folder, which is made where it
    is missing.

    Args:
        result: what was found.
        folder: where.
        title: says what was scored on what.
        setup: how it was scored, as JSON knows it; goes into `metrics.json`, and its words into the
            page.
    Raises:
        OSError: the folder or a file cannot be written.
    """
    picture = draw_confusion(result.scores.confusion, result.labels.names)
    _, png = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    metrics = json.dumps(result.summary() | {"setup": setup}, indent=2) + "\n"
    page = draw_page(result, title=title, setup=setup, confusion_png=png.tobytes())
    for name, data in zip(FILES, (metrics.encode(), png.tobytes(), page.encode()), strict=True):
        write_whole(folder / name, data)
