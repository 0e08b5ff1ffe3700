"""The files of an evaluation: scores as JSON, the confusion matrix as PNG, and an HTML page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from galago._core.atomic_io import write_whole
from galago._core.html_report import render
from galago._core.image_encoder import encode
from galago._core.printable import drawable
from galago.evaluation.boundary import BAND_SHARE
from galago.evaluation.evaluate import Evaluation
from galago.evaluation.label_counts import settle
from galago.evaluation.worst_samples import WorstSample
from galago.image import colorize
from galago.labels import LabelSet

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE = (255, 255, 255)
INK = (30, 30, 30)
GRAY = (225, 225, 225)
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
    # the root lifts small shares, which are the mistakes one looks for
    strength = np.sqrt(shares)[..., None]
    blended = np.where(totals[..., None] > 0, WHITE + strength * (FULL - WHITE), GRAY)
    colors = blended.round().astype(np.uint8)
    picture = colors.repeat(cell, axis=0).repeat(cell, axis=1)
    picture[::cell] = picture[:, ::cell] = GRAY
    if len(confusion) > MAX_CLASSES_WITH_TEXT:
        return picture
    for row, column in np.argwhere(shares >= 0.005):  # smaller ones would read 0
        share = shares[row, column]
        color = WHITE if share > 0.25 else INK
        background = tuple(colors[row, column].tolist())
        tag = _text(f"{100 * share:.0f}", 0.9 * text_scale, color, background)
        top = row * cell + (cell - tag.shape[0]) // 2
        left = column * cell + (cell - tag.shape[1]) // 2
        _paste(picture, tag, top, left)
    return picture


def _text(
    text: str, scale: float, color: tuple[int, ...] = INK, background: tuple[int, ...] = WHITE
) -> np.ndarray:
    """Draw one line of text on a strip that fits it, (h, w, 3) uint8."""
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    strip = np.full((height + below, width + 1, 3), background, np.uint8)
    return np.asarray(cv2.putText(strip, text, (0, height), FONT, scale, color, 1, cv2.LINE_AA))


def _paste(canvas: np.ndarray, patch: np.ndarray, top: int, left: int) -> None:
    """Copy a patch onto a canvas, in place."""
    height, width = patch.shape[:2]
    canvas[top : top + height, left : left + width] = patch


SHOWN_CONFUSIONS = 12
SMALLEST_CONFUSION = 0.01  # share of a class's pixels; less is not worth a line
RIGHT = (232, 232, 232)
WRONG = (214, 39, 40)
UNLABELED = (255, 255, 255)


def draw_page(evaluation: Evaluation, *, title: str, setup: Mapping[str, Any]) -> str:
    """Return the HTML page of an evaluation.

    Args:
        evaluation: scores and the worst samples.
        title: model and data set in words.
        setup: how it was scored; values that are text or numbers are shown.
    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    scores = evaluation.scores
    context = {
        "title": title,
        "evaluation": evaluation,
        "setup": [
            (name, value)
            for name, value in setup.items()
            if isinstance(value, str | int) and not isinstance(value, bool)
        ],
        "band_share": BAND_SHARE,
        "confusions": largest_confusions(scores.confusion, scores.names),
        "confusion": draw_confusion(scores.confusion, scores.names),
        "worst": [
            (sample, _label_maps(sample, evaluation.label_set)) for sample in evaluation.worst
        ],
    }
    return render("evaluation.html", context)


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
    lines = []
    for index in order:
        true, predicted = np.unravel_index(index, shares.shape)
        share = shares[true, predicted]
        if share >= SMALLEST_CONFUSION:
            name = names[true]
            lines.append(f"{name} taken for {names[predicted]}: {100 * share:.0f} % of {name}")
    return lines


def error_map(target: np.ndarray, pred: np.ndarray, num_classes: int) -> np.ndarray:
    """Paint wrong pixels red, right ones gray and unlabeled ones white: (H, W, 3) uint8 RGB."""
    picture = np.where((target == pred)[..., None], RIGHT, WRONG).astype(np.uint8)
    picture[target >= num_classes] = UNLABELED
    return picture


def _label_maps(sample: WorstSample, label_set: LabelSet) -> list[tuple[str, np.ndarray]]:
    """Return target, prediction and errors of a sample as images, each after its caption."""
    settled = settle(sample.target, sample.pred, label_set)
    return [
        ("target", colorize(sample.target, label_set.colors)),
        ("prediction", colorize(sample.pred, label_set.colors)),
        ("errors", error_map(settled, sample.pred, len(label_set))),
    ]


def save_scores(evaluation: Evaluation, folder: Path, setup: Mapping[str, Any]) -> list[Path]:
    """Write `metrics.json` and `confusion.png` into a folder, which is made if missing.

    Args:
        evaluation: what to write.
        folder: where to write.
        setup: how it was scored, as JSON values; goes into `metrics.json`.
    Returns:
        the files that were written.
    Raises:
        OSError: the folder or a file cannot be written.
    """
    confusion = draw_confusion(evaluation.scores.confusion, evaluation.label_set.names)
    metrics = json.dumps(evaluation.summary() | {"setup": setup}, indent=2) + "\n"
    contents = {"metrics.json": metrics.encode(), "confusion.png": encode(confusion, ".png")}
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]
