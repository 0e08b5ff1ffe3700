"""The HTML report of a run: settings, curves, scores of the classes, sample images, in one file."""

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from galago._core.html_report import render
from galago.labels import Color
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
ScoreRow = tuple[Color | None, list[str]]  # color of a class, and the cells of its row


@dataclass(frozen=True)
class Curve:
    """One value over epochs, in SVG units.

    Attributes:
        points: (x, y) in the order of epochs.
        grid: y and value of each horizontal line.
        first_epoch, last_epoch: the ends of the horizontal axis.
        last_value: the value at the end of the curve.
    """

    points: list[tuple[float, float]]
    grid: list[tuple[float, str]]
    first_epoch: int
    last_epoch: int
    last_value: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def lay_out_curve(
    points: Sequence[tuple[float, float]], format_value: Callable[[float], str]
) -> Curve | None:
    """Return a curve scaled to the picture; None where there are no points.

    Args:
        points: (epoch, value) in the order of epochs; values that are not finite are left out.
        format_value: formats a value.
    """
    data = np.array([point for point in points if np.isfinite(point[1])], np.float64).reshape(-1, 2)
    if not len(data):
        return None
    data = data[np.unique(np.linspace(0, len(data) - 1, MAX_POINTS).astype(int))]
    (first, low), (last, high) = data.min(axis=0), data.max(axis=0)
    if low == high:
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if low else (0.0, 1.0)
    across = LEFT + (WIDTH - LEFT - RIGHT) * (data[:, 0] - first) / max(last - first, 1)
    down = TOP + (HEIGHT - TOP - BOTTOM) * (high - data[:, 1]) / (high - low)
    return Curve(
        points=list(zip(across.tolist(), down.tolist(), strict=True)),
        grid=[
            (TOP + share * (HEIGHT - TOP - BOTTOM), format_value(high - share * (high - low)))
            for share in np.linspace(0, 1, GRID_LINES)
        ],
        first_epoch=round(first),
        last_epoch=round(last),
        last_value=format_value(float(data[-1, 1])),
    )


def draw_page(folder: Path, config: TrainConfig, rows: Rows) -> str:
    """Return the report of a run as an HTML page.

    Args:
        folder: of the run; holds run.json, and panel.jpg and checkpoints of its last validation.
        config: the settings.
        rows: measurements, one per epoch.
    Raises:
        CheckpointError, ImageError, OSError: one of the files cannot be read.
        MissingDependencyError: Jinja2 is not installed.
    """
    text = (folder / "run.json").read_text(encoding="utf-8")
    description = upgrade_description(json.loads(text))
    class_heads, class_rows = _classes(folder)
    recipe, changed = closest_recipe(config)
    context = {
        "title": f"galago train: {folder.resolve().name}",
        "state": _state(config, rows),
        "remarks": remarks(config, rows),
        "curves": _curves(rows),
        "speed": _speed(rows),
        "class_heads": class_heads,
        "class_rows": class_rows,
        "extra_sets": _extra_sets(folder),
        "sample_grid": read_grid(folder / "panel.jpg"),
        "description": _description(config, description),
        "recipe": recipe,
        "changed": changed,
        "folder": folder.resolve(),
        "files": [(name, about) for name, about in FILES.items() if (folder / name).exists()],
        "commands": _commands(folder, description["data"]),
    }
    return render("training.html", context)


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
    if not best:
        return text
    last = list(scores.values())[-1]
    return f"{text}Best mean IoU {scores[best]:.4f}, in epoch {best}; last {last:.4f}."


def _curves(rows: Rows) -> list[tuple[Curve | None, str]]:
    """Return each curve and its caption."""
    charts = (
        ("mean_iou", "mean IoU on the validation photos", "{:.4f}"),
        ("loss", "loss", "{:.3f}"),
        ("lr", "learning rate", "{:.1e}"),
        ("images_per_s", "photos per second", "{:.1f}"),
        ("data_wait", "share of the time spent waiting for photos", "{:.1%}"),
    )
    return [
        (
            lay_out_curve([(row["epoch"], row[name]) for row in rows if name in row], form.format),
            caption,
        )
        for name, caption, form in charts
    ]


def _speed(rows: Rows) -> str:
    speeds = [row["images_per_s"] for row in rows if "images_per_s" in row]
    mean = f"{sum(speeds) / len(speeds):.1f} photos per second" if speeds else "no epoch yet"
    waited = f"{data_wait_share(rows):.1%} of the time was spent waiting for photos"
    return f"On average {mean}; {waited}."


def _classes(folder: Path) -> tuple[list[str], list[ScoreRow]]:
    """Return heads and rows: the IoU of each class by the best and the last weights that exist."""
    files = {name: folder / f"{name}.safetensors" for name in ("best", "last")}
    found = {name: read_metadata(file) for name, file in files.items() if file.exists()}
    scores = [json.loads(metadata["scores"]) for metadata in found.values()]
    palette = json.loads(found["last"]["spec"])["palette"]
    rows: list[ScoreRow] = []
    for color, *entries in zip(palette, *(score["classes"] for score in scores), strict=True):
        cells = [entries[0]["name"], *map(_iou, entries), f"{entries[0]['share']:.2%}"]
        rows.append((tuple(color), cells))
    # labels that stand for several classes
    for labels in zip(*(score.get("sets", []) for score in scores), strict=True):
        name = f"{labels[0]['name']} = {' or '.join(labels[0]['classes'])}"
        rows.append((None, [name, *map(_iou, labels), f"{labels[0]['share']:.2%}"]))
    rows.append((None, ["mean", *(f"{score['mean_iou']:.4f}" for score in scores), ""]))
    heads = [f"IoU, {name} (epoch {metadata['epoch']})" for name, metadata in found.items()]
    return ["class", *heads, "share of the pixels"], rows


def _iou(entry: Mapping[str, Any]) -> str:
    return "n/a" if entry["iou"] is None else f"{entry['iou']:.4f}"


def _extra_sets(folder: Path) -> list[dict[str, Any]]:
    """Return the scores of the best weights on each further validation set."""
    best = folder / "best.safetensors"
    metadata = read_metadata(best) if best.exists() else {}
    sets = []
    for name, scores in json.loads(metadata.get("other_scores", "{}")).items():
        rows: list[ScoreRow] = [
            (None, [entry["name"], _iou(entry), f"{entry['share']:.2%}"])
            for entry in (*scores["classes"], *scores.get("sets", []))
            if entry["iou"] is not None
        ]
        rows.append((None, ["mean", f"{scores['mean_iou']:.4f}", ""]))
        heads = ("class", f"IoU, best (epoch {metadata['epoch']})", "share of the pixels")
        sets.append(
            {"name": name, "heads": heads, "rows": rows, "excused": scores.get("excused", 0)}
        )
    return sets


def _description(config: TrainConfig, description: Mapping[str, Any]) -> dict[str, Any]:
    versions = ", ".join(f"{name} {version}" for name, version in description["versions"].items())
    train, val = description["train_images"], description["val_images"]
    return {
        "network": f"{config.variant}, head {config.head or 'of its own'}",
        "data": f"{description['data']}: {train} photos, {val} for validation",
        "started from": description["weights"] or "random weights",
        "teacher": description.get("teacher"),
        "device": description.get("device"),
        "started": description["started"],
        "command": description["command"],
        "commit": description["commit"],
        "versions": f"Python {description['python']}, {versions}",
    }


def _commands(folder: Path, data: str) -> list[str]:
    source = shlex.quote(data) if Path(data).exists() else "DATA"
    best, model = (shlex.quote(str(folder / name)) for name in ("best.safetensors", "model"))
    return [
        f"galago val {source} --model {best}",
        f"galago export {best} --out {model}",
        f"galago predict PHOTOS --model {model}",
    ]
