"""draw_confusion: a confusion matrix as a picture."""

from collections.abc import Sequence

import cv2
import numpy as np

from galago._core.printable import drawable

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, INK, GRAY = (255, 255, 255), (30, 30, 30), (225, 225, 225)
FULL = np.array((8, 48, 107))  # dark blue: all pixels of a row
MAX_CLASSES_WITH_TEXT = 40  # beyond, numbers do not fit into cells
MARGIN = 12  # pixels around the picture, and between names and cells
CAPTION = "Rows: true class. Columns: predicted class. Cells: percent of the true class's pixels."


def draw_confusion(confusion: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix, each row scaled to 100 percent.

    Args:
        confusion: (K, K) pixels: rows are true classes, columns predicted ones; the row of an absent class stays gray.
        names: K class names.
    Returns:
        (H, W, 3) uint8 RGB, H and W by the number of classes.
    """
    num_classes = len(names)
    cell, text_scale = (44, 0.5) if num_classes <= MAX_CLASSES_WITH_TEXT else (13, 0.35)
    tags = [_text(name, text_scale) for name in names]
    margin = max(tag.shape[1] for tag in tags) + 2 * MARGIN
    caption = _text(CAPTION, 0.5)
    top = margin + caption.shape[0] + MARGIN
    side = num_classes * cell
    canvas = np.full((top + side + MARGIN, max(margin + side, caption.shape[1] + MARGIN) + MARGIN, 3), WHITE, np.uint8)
    _paste(canvas, caption, MARGIN, MARGIN)
    for index, tag in enumerate(tags):
        center = index * cell + cell // 2
        _paste(canvas, tag, top + center - tag.shape[0] // 2, margin - MARGIN // 2 - tag.shape[1])
        upright = np.rot90(tag)  # read from below
        _paste(canvas, upright, top - MARGIN // 2 - upright.shape[0], margin + center - upright.shape[1] // 2)
    canvas[top : top + side, margin : margin + side] = _cells(confusion, cell, text_scale)
    return canvas


def _cells(confusion: np.ndarray, cell: int, text_scale: float) -> np.ndarray:
    """Draw the square of colored cells, (K * cell, K * cell, 3) uint8."""
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)
    strength = np.sqrt(shares)[..., None]  # the root lifts small shares, which are the mistakes one looks for
    colors = np.where(totals[..., None] > 0, WHITE + strength * (FULL - WHITE), GRAY).round().astype(np.uint8)
    picture = colors.repeat(cell, axis=0).repeat(cell, axis=1)
    picture[::cell] = picture[:, ::cell] = GRAY
    if len(confusion) > MAX_CLASSES_WITH_TEXT:
        return picture
    for row, column in np.argwhere(shares >= 0.005):  # smaller ones would read 0
        share = shares[row, column]
        color = WHITE if share > 0.25 else INK
        tag = _text(f"{100 * share:.0f}", 0.9 * text_scale, color, tuple(colors[row, column].tolist()))
        corner = [index * cell + (cell - length) // 2 for index, length in zip((row, column), tag.shape[:2], strict=True)]
        _paste(picture, tag, *corner)
    return picture


def _text(text: str, scale: float, color: tuple[int, ...] = INK, background: tuple[int, ...] = WHITE) -> np.ndarray:
    """Draw one line of text on a strip that fits it, (h, w, 3) uint8."""
    text = drawable(text)  # OpenCV dies of surrogates
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    strip = np.full((height + below, width + 1, 3), background, np.uint8)
    return np.asarray(cv2.putText(strip, text, (0, height), FONT, scale, color, 1, cv2.LINE_AA))


def _paste(canvas: np.ndarray, patch: np.ndarray, top: int, left: int) -> None:
    """Put a patch onto a canvas, in place."""
    height, width = patch.shape[:2]
    canvas[top : top + height, left : left + width] = patch
