"""Curves as SVG that stands in an HTML page by itself."""

from collections.abc import Callable, Sequence

import numpy as np

from galago.html import escape

WIDTH, HEIGHT = 420, 190  # of the whole picture, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 24  # margins around the curve
MOST_POINTS = 600  # more would not be seen
GRID_LINES = 4


def draw_chart(points: Sequence[tuple[float, float]], *, caption: str, form: Callable[[float], str]) -> str:
    """Draw one curve over epochs, with a dot and a number at its end.

    Args:
        points: (epoch, value) in the order of epochs; values that are not finite are left out.
        caption: what is drawn, as plain text.
        form: writes a value.
    Returns:
        an HTML figure; without a picture where there are no points.
    """
    data = np.array([point for point in points if np.isfinite(point[1])], np.float64).reshape(-1, 2)
    if not len(data):
        return f"<figure><figcaption>{escape(caption)}: nothing yet</figcaption></figure>"
    data = data[np.unique(np.linspace(0, len(data) - 1, MOST_POINTS).astype(int))]
    (first, low), (last, high) = data.min(axis=0), data.max(axis=0)
    if low == high:
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if low else (0.0, 1.0)
    across = LEFT + (WIDTH - LEFT - RIGHT) * (data[:, 0] - first) / max(last - first, 1)
    down = TOP + (HEIGHT - TOP - BOTTOM) * (high - data[:, 1]) / (high - low)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    heights = [(share, high - share * (high - low)) for share in np.linspace(0, 1, GRID_LINES)]
    parts = [
        *(_grid_line(TOP + share * (HEIGHT - TOP - BOTTOM), form(value)) for share, value in heights),
        f'<text x="{LEFT}" y="{HEIGHT - 6}">epoch {first:.0f}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{last:.0f}</text>' if last > first else "",
        f'<polyline points="{line}" fill="none" stroke="#1f6feb" stroke-width="2" stroke-linejoin="round"/>',
        f'<circle cx="{across[-1]:.1f}" cy="{down[-1]:.1f}" r="3" fill="#1f6feb"/>',
    ]
    about = f"{escape(caption)}, last {escape(form(float(data[-1, 1])))}"
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{about}" font-size="11" fill="#57606a">'
    return f"<figure>{head}{''.join(parts)}</svg><figcaption>{about}</figcaption></figure>"


def _grid_line(y: float, words: str) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d8dee4"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(words)}</text>'
    )
