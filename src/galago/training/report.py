"""The HTML report of a run: settings, curves, scores of the classes, sample images, in one file."""

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from galago._core.html_report import document, escape, picture, table
from galago.models.checkpoint import read_metadata
from galago.training.config import TrainConfig
from galago.training.history import Rows, best_epoch, data_wait_share, remarks
from galago.training.recipes import RECIPES
from galago.training.run_dir import upgrade_description
from galago.training.sample_grid import read_grid

WIDTH = 420  # of a chart, in SVG units
HEIGHT = 190
LEFT = 58  # margins around the curve
RIGHT = 12
TOP = 10
BOTTOM = 24
MAX_POINTS = 600  # more would not be visible
GRID_LINES = 4


def draw_chart(
    points: Sequence[tuple[float, float]], *, caption: str, format_value: Callable[[float], str]
) -> str:
    """Return a chart of one curve over epochs as an HTML figure, its last value marked.

    Args:
        points: (epoch, value) in the order of epochs; values that are not finite are left out.
        caption: plain text.
        format_value: formats a value.
    """
    data = np.array([point for point in points if np.isfinite(point[1])], np.float64).reshape(-1, 2)
    if not len(data):
        return f"<figure><figcaption>{escape(caption)}: nothing yet</figcaption></figure>"
    data = data[np.unique(np.linspace(0, len(data) - 1, MAX_POINTS).astype(int))]
    (first, low), (last, high) = data.min(axis=0), data.max(axis=0)
    if low == high:
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if low else (0.0, 1.0)
    across = LEFT + (WIDTH - LEFT - RIGHT) * (data[:, 0] - first) / max(last - first, 1)
    down = TOP + (HEIGHT - TOP - BOTTOM) * (high - data[:, 1]) / (high - low)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    shares = np.linspace(0, 1, GRID_LINES)
    parts = [
        *(
            _grid_line(
                TOP + share * (HEIGHT - TOP - BOTTOM), format_value(high - share * (high - low))
            )
            for share in shares
        ),
        f'<text x="{LEFT}" y="{HEIGHT - 6}">epoch {first:.0f}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{last:.0f}</text>'
        if last > first
        else "",
        f'<polyline points="{line}" fill="none" stroke="#1f6feb" stroke-width="2" '
        'stroke-linejoin="round"/>',
        f'<circle cx="{across[-1]:.1f}" cy="{down[-1]:.1f}" r="3" fill="#1f6feb"/>',
    ]
    about = f"{escape(caption)}, last {escape(format_value(float(data[-1, 1])))}"
    head = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{about}" '
        'font-size="11" fill="#57606a">'
    )
    return f"<figure>{head}{''.join(parts)}</svg><figcaption>{about}</figcaption></figure>"


def _grid_line(y: float, label: str) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d8dee4"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
    )


REPORT = "report.html"
FILES = {
    "best.safetensors": "the weights of the best mean IoU, to export",
    "last.safetensors": "the weights of the last validation",
    "metrics.csv": "measurements, one line per epoch",
    "panel.jpg": "photos, true labels and predicted labels",
    "run.json": "settings, data, command, commit, versions",
    "state": "the state that --resume continues from",
    "tensorboard": "curves for TensorBoard: tensorboard --logdir",
}
STYLE = """
td { text-align: left } .numbers td + td, .numbers th + th { text-align: right }
.verdict { background: #f6f8fa } .note { border-left: 4px solid #d4a72c; padding: .1rem 1rem }
pre { background: #f6f8fa; padding: .8rem 1.2rem; overflow-x: auto }
svg { width: 100%; height: auto }
"""


def draw_page(folder: Path, config: TrainConfig, rows: Rows) -> str:
    """Return the report of a run as an HTML page.

    Args:
        folder: of the run; holds run.json, and panel.jpg and checkpoints of its last validation.
        config: the settings.
        rows: measurements, one per epoch.
    Raises:
        CheckpointError, ImageError, OSError: one of the files cannot be read.
    """
    text = (folder / "run.json").read_text(encoding="utf-8")
    description = upgrade_description(json.loads(text))
    parts = [
        f'<p class="verdict">{escape(_state(config, rows))}</p>',
        *(f'<p class="note">{escape(remark)}</p>' for remark in remarks(config, rows)),
        "<h2>Curves</h2>",
        _curves(rows),
        "<h2>Classes</h2>",
        _classes(folder),
        _extra_sets(folder),
        "<h2>Pictures</h2>",
        _sample_grid(folder / "panel.jpg"),
        "<h2>What was trained</h2>",
        _description(config, description),
        _settings(config),
        "<h2>Files</h2>",
        _files(folder),
        "<h2>Next</h2>",
        _commands(folder, description["data"]),
    ]
    return document(f"galago train: {folder.resolve().name}", parts, STYLE)


def closest_recipe(config: TrainConfig) -> tuple[str, list[tuple[str, Any, Any]]]:
    """Return the recipe with the fewest settings that differ, and these.

    Returns:
        its name; and name, value and the recipe's value of each setting that differs.
    """
    own = dataclasses.asdict(config)
    changes: dict[str, list[tuple[str, Any, Any]]] = {}
    for name, recipe in RECIPES.items():
        theirs = dataclasses.asdict(recipe())
        changes[name] = [(key, own[key], theirs[key]) for key in own if own[key] != theirs[key]]
    closest = min(changes, key=lambda name: len(changes[name]))
    return closest, changes[closest]


def _state(config: TrainConfig, rows: Rows) -> str:
    scores = {row["epoch"]: row["mean_iou"] for row in rows if "mean_iou" in row}
    best = best_epoch(rows)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"Epoch {len(rows)} of {config.epochs}, {now}. "
    return text + (
        f"Best mean IoU {scores[best]:.4f}, in epoch {best}; last {list(scores.values())[-1]:.4f}."
        if best
        else ""
    )


def _curves(rows: Rows) -> str:
    charts = (
        ("mean_iou", "mean IoU on the validation photos", "{:.4f}"),
        ("loss", "loss", "{:.3f}"),
        ("lr", "learning rate", "{:.1e}"),
        ("images_per_s", "photos per second", "{:.1f}"),
        ("data_wait", "share of the time spent waiting for photos", "{:.1%}"),
    )
    figures = [
        draw_chart(
            [(row["epoch"], row[name]) for row in rows if name in row],
            caption=caption,
            format_value=pattern.format,
        )
        for name, caption, pattern in charts
    ]
    speeds = [row["images_per_s"] for row in rows if "images_per_s" in row]
    mean = f"{sum(speeds) / len(speeds):.1f} photos per second" if speeds else "no epoch yet"
    waited = f"{data_wait_share(rows):.1%} of the time was spent waiting for photos"
    return f'<div class="pictures">{"".join(figures)}</div><p>On average {mean}; {waited}.</p>'


def _classes(folder: Path) -> str:
    """Return a table of the IoU of each class, of the best and of the last weights."""
    files = {name: folder / f"{name}.safetensors" for name in ("best", "last")}
    checkpoints = {name: read_metadata(file) for name, file in files.items() if file.exists()}
    scores = [json.loads(metadata["scores"]) for metadata in checkpoints.values()]
    palette = json.loads(checkpoints["last"]["spec"])["palette"]
    rows = []
    for color, *entries in zip(palette, *(score["classes"] for score in scores), strict=True):
        chip = f'<span class="chip" style="background:rgb({",".join(map(str, color))})"></span>'
        values = ["n/a" if entry["iou"] is None else f"{entry['iou']:.4f}" for entry in entries]
        rows.append([chip + escape(entries[0]["name"]), *values, f"{entries[0]['share']:.2%}"])
    # labels that stand for a set of classes
    for labels in zip(*(score.get("sets", []) for score in scores), strict=True):
        values = ["n/a" if label["iou"] is None else f"{label['iou']:.4f}" for label in labels]
        name = f"{labels[0]['name']} = {' or '.join(labels[0]['classes'])}"
        rows.append([escape(name), *values, f"{labels[0]['share']:.2%}"])
    rows.append(["<b>mean</b>", *(f"<b>{score['mean_iou']:.4f}</b>" for score in scores), ""])
    heads = [
        f"IoU, {name} (epoch {escape(metadata['epoch'])})" for name, metadata in checkpoints.items()
    ]
    return f'<div class="numbers">{table(("class", *heads, "share of the pixels"), rows)}</div>'


def _extra_sets(folder: Path) -> str:
    """Return a table of the IoU of each class for each further validation set, of best weights."""
    best = folder / "best.safetensors"
    metadata = read_metadata(best) if best.exists() else {}
    parts = []
    for name, scores in json.loads(metadata.get("other_scores", "{}")).items():
        entries = [*scores["classes"], *scores.get("sets", [])]
        rows = [
            [escape(entry["name"]), f"{entry['iou']:.4f}", f"{entry['share']:.2%}"]
            for entry in entries
            if entry["iou"] is not None
        ]
        rows.append(["<b>mean</b>", f"<b>{scores['mean_iou']:.4f}</b>", ""])
        heads = ("class", f"IoU, best (epoch {metadata['epoch']})", "share of the pixels")
        parts.append(f'<h3>{escape(name)}</h3><div class="numbers">{table(heads, rows)}</div>')
        if excused := scores.get("excused"):
            parts.append(
                f"<p>{excused:,} pixels of classes that the masks cannot show are not counted.</p>"
            )
    return "".join(parts)


def _sample_grid(path: Path) -> str:
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(read_grid(path)[..., ::-1]))[1].tobytes()
    shown = picture(jpeg, "jpeg", "photos, true labels, predicted labels")
    caption = "Photo, true labels, labels of the last validation."
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _description(config: TrainConfig, description: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in description["versions"].items())
    counts = f"{description['train_images']} photos, {description['val_images']} for validation"
    shown = {
        "network": f"{config.variant}, head {config.head or 'of its own'}",
        "data": f"{description['data']}: {counts}",
        "started from": description["weights"] or "random weights",
        "teacher": description.get("teacher"),
        "device": description.get("device"),
        "started": description["started"],
        "command": description["command"],
        "commit": description["commit"],
        "versions": f"Python {description['python']}, {versions}",
    }
    return table((), [(escape(name), escape(str(value))) for name, value in shown.items() if value])


def _settings(config: TrainConfig) -> str:
    recipe, changed = closest_recipe(config)
    if not changed:
        return f"<p>All settings are those of the recipe {recipe}.</p>"
    rows = [[escape(str(cell)) for cell in row] for row in changed]
    heads = ("setting", "here", "recipe")
    return f"<p>Settings that differ from the closest recipe, {recipe}:</p>{table(heads, rows)}"


def _files(folder: Path) -> str:
    rows = [
        (f"<code>{name}</code>", escape(about))
        for name, about in FILES.items()
        if (folder / name).exists()
    ]
    return f"<p>In <code>{escape(str(folder.resolve()))}</code>:</p>{table((), rows)}"


def _commands(folder: Path, data: str) -> str:
    source = shlex.quote(data) if Path(data).exists() else "DATA"
    best = shlex.quote(str(folder / "best.safetensors"))
    model = shlex.quote(str(folder / "model"))
    lines = [
        f"galago val {source} --model {best}",
        f"galago export {best} --out {model}",
        f"galago predict PHOTOS --model {model}",
    ]
    return f"<pre>{chr(10).join(map(escape, lines))}</pre>"
