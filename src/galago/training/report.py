"""The HTML page of a run: what was trained, how it went, what came of it.

One file, curves and pictures inside.
"""

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
from galago.training.early_stopping import best_epoch, remarks, waited_share
from galago.training.recipes import RECIPES
from galago.training.sample_grid import read_panel

WIDTH, HEIGHT = 420, 190  # of the whole picture, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 24  # margins around the curve
MOST_POINTS = 600  # more would not be seen
GRID_LINES = 4


def draw_chart(
    points: Sequence[tuple[float, float]], *, caption: str, form: Callable[[float], str]
) -> str:
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
        *(
            _grid_line(TOP + share * (HEIGHT - TOP - BOTTOM), form(value))
            for share, value in heights
        ),
        f'<text x="{LEFT}" y="{HEIGHT - 6}">epoch {first:.0f}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{last:.0f}</text>'
        if last > first
        else "",
        f'<polyline points="{line}" fill="none" stroke="#1f6feb" stroke-width="2" '
        'stroke-linejoin="round"/>',
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


PAGE = "report.html"
FILES = {
    "best.safetensors": "the weights of the best mean IoU: what to export",
    "last.safetensors": "the weights of the last validation",
    "metrics.csv": "what was measured, one line per epoch",
    "panel.jpg": "photos, true labels and predicted labels",
    "run.json": "settings, data, command, commit, versions",
    "state": "what --resume goes on from",
    "tensorboard": "curves for TensorBoard: tensorboard --logdir",
}
STYLE = """
td { text-align: left } .numbers td + td, .numbers th + th { text-align: right }
.verdict { background: #f6f8fa } .note { border-left: 4px solid #d4a72c; padding: .1rem 1rem }
pre { background: #f6f8fa; padding: .8rem 1.2rem; overflow-x: auto } svg { width: 100%; height: auto }
"""


def draw_page(folder: Path, config: TrainConfig, rows: Sequence[Mapping[str, float]]) -> str:
    """Return the page of a run.

    Args:
        folder: of the run; holds run.json, and of its last validation panel.jpg and checkpoints.
        config: the settings.
        rows: what was measured, one per epoch.
    Raises:
        CheckpointError, ImageError, OSError: one of the files cannot be read.
    """
    description = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    parts = [
        f'<p class="verdict">{escape(_state(config, rows))}</p>',
        *(f'<p class="note">{escape(remark)}</p>' for remark in remarks(config, rows)),
        "<h2>Curves</h2>", _curves(rows),
        "<h2>Classes</h2>", _classes(folder), _other_sets(folder),
        "<h2>Pictures</h2>", _panel(folder / "panel.jpg"),
        "<h2>What was trained</h2>", _description(config, description), _settings(config),
        "<h2>Files</h2>", _files(folder),
        "<h2>Next</h2>", _commands(folder, description["data"]),
    ]  # fmt: skip
    return document(f"galago train: {folder.resolve().name}", parts, STYLE)


def differences(config: TrainConfig) -> tuple[str, list[tuple[str, Any, Any]]]:
    """Find the recipe that the settings are closest to.

    Returns:
        its name; and name, value and the recipe's value of each setting that differs.
    """
    own, found = dataclasses.asdict(config), {}
    for name, recipe in RECIPES.items():
        values = dataclasses.asdict(recipe())
        found[name] = [(key, own[key], values[key]) for key in own if own[key] != values[key]]
    closest = min(found, key=lambda name: len(found[name]))
    return closest, found[closest]


def _state(config: TrainConfig, rows: Sequence[Mapping[str, float]]) -> str:
    scores = {row["epoch"]: row["mean_iou"] for row in rows if "mean_iou" in row}
    best = best_epoch(rows)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"Epoch {len(rows)} of {config.epochs}, {now}. "
    return text + (
        f"Best mean IoU {scores[best]:.4f}, in epoch {best}; last {list(scores.values())[-1]:.4f}."
        if best
        else ""
    )


def _curves(rows: Sequence[Mapping[str, float]]) -> str:
    charts = (
        ("mean_iou", "mean IoU on the validation photos", "{:.4f}"), ("loss", "loss", "{:.3f}"),
        ("rate", "learning rate", "{:.1e}"), ("images_per_s", "photos per second", "{:.1f}"),
        ("waited", "share of the time spent waiting for photos", "{:.1%}"),
    )  # fmt: skip
    drawn = [
        draw_chart(
            [(row["epoch"], row[name]) for row in rows if name in row],
            caption=caption,
            form=form.format,
        )
        for name, caption, form in charts
    ]
    speeds = [row["images_per_s"] for row in rows if "images_per_s" in row]
    mean = f"{sum(speeds) / len(speeds):.1f} photos per second" if speeds else "no epoch yet"
    return f'<div class="pictures">{"".join(drawn)}</div><p>On average {mean}; {waited_share(rows):.1%} of the time waited.</p>'


def _classes(folder: Path) -> str:
    """Draw the IoU of each class of the best and of the last weights, as far as they lie there."""
    files = {name: folder / f"{name}.safetensors" for name in ("best", "last")}
    found = {name: read_metadata(file) for name, file in files.items() if file.exists()}
    scores = [json.loads(metadata["scores"]) for metadata in found.values()]
    palette = json.loads(found["last"]["spec"])["palette"]
    rows = []
    for color, *entries in zip(palette, *(score["classes"] for score in scores), strict=True):
        chip = f'<span class="chip" style="background:rgb({",".join(map(str, color))})"></span>'
        values = ["n/a" if entry["iou"] is None else f"{entry['iou']:.4f}" for entry in entries]
        rows.append([chip + escape(entries[0]["name"]), *values, f"{entries[0]['share']:.2%}"])
    for labels in zip(
        *(score.get("sets", []) for score in scores), strict=True
    ):  # those that stand for several classes
        values = ["n/a" if label["iou"] is None else f"{label['iou']:.4f}" for label in labels]
        name = f"{labels[0]['name']} = {' or '.join(labels[0]['classes'])}"
        rows.append([escape(name), *values, f"{labels[0]['share']:.2%}"])
    rows.append(["<b>mean</b>", *(f"<b>{score['mean_iou']:.4f}</b>" for score in scores), ""])
    heads = [f"IoU, {name} (epoch {escape(metadata['epoch'])})" for name, metadata in found.items()]
    return f'<div class="numbers">{table(("class", *heads, "share of the pixels"), rows)}</div>'


def _other_sets(folder: Path) -> str:
    """Draw the IoU of each class and label on the further validation sets, by the best weights."""
    metadata = (
        read_metadata(folder / "best.safetensors") if (folder / "best.safetensors").exists() else {}
    )
    parts = []
    for name, scores in json.loads(metadata.get("other_scores", "{}")).items():
        entries = [*scores["classes"], *scores.get("sets", [])]
        rows = [
            [escape(entry["name"]), f"{entry['iou']:.4f}", f"{entry['share']:.2%}"]
            for entry in entries
            if entry["iou"] is not None
        ]
        rows.append(["<b>mean</b>", f"<b>{scores['mean_iou']:.4f}</b>", ""])
        excused = f"<p>{scores.get('excused', 0):,} pixels of classes that the masks cannot show are not counted.</p>"
        drawn = table(
            ("class", f"IoU, best (epoch {metadata['epoch']})", "share of the pixels"), rows
        )
        parts.append(
            f'<h3>{escape(name)}</h3><div class="numbers">{drawn}</div>'
            + (excused if scores.get("excused") else "")
        )
    return "".join(parts)


def _panel(path: Path) -> str:
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(read_panel(path)[..., ::-1]))[1].tobytes()
    shown = picture(jpeg, "jpeg", "photos, true labels, predicted labels")
    return f"<figure>{shown}<figcaption>Photo, true labels, labels of the last validation.</figcaption></figure>"


def _description(config: TrainConfig, description: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in description["versions"].items())
    shown = {
        "network": f"{config.variant}, head {config.head or 'of its own'}",
        "data": f"{description['data']}: {description['train_photos']} photos, {description['val_photos']} for validation",
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
    recipe, changed = differences(config)
    if not changed:
        return f"<p>All settings are those of the recipe {recipe}.</p>"
    rows = [[escape(str(cell)) for cell in row] for row in changed]
    return f"<p>Settings that differ from the closest recipe, {recipe}:</p>{table(('setting', 'here', 'recipe'), rows)}"


def _files(folder: Path) -> str:
    there = [
        (f"<code>{name}</code>", escape(about))
        for name, about in FILES.items()
        if (folder / name).exists()
    ]
    return f"<p>In <code>{escape(str(folder.resolve()))}</code>:</p>{table((), there)}"


def _commands(folder: Path, data: str) -> str:
    source = shlex.quote(data) if Path(data).exists() else "DATA"
    best, model = (shlex.quote(str(folder / name)) for name in ("best.safetensors", "model"))
    lines = [
        f"galago val {source} --model {best}",
        f"galago export {best} --out {model}",
        f"galago predict PHOTOS --model {model}",
    ]
    return f"<pre>{chr(10).join(map(escape, lines))}</pre>"
