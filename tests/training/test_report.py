import base64
import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago import image as images
from galago._core.html_report import render
from galago.data import Dataset
from galago.models.checkpoint import read_metadata
from galago.training.config import TrainConfig
from galago.training.recipes import camvid, scenes
from galago.training.report import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MAX_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    closest_recipe,
    draw_page,
    lay_out_curve,
)
from galago.training.sample_grid import read_grid
from galago.training.train import train

pytestmark = pytest.mark.torch

SETTINGS = replace(
    camvid(),
    epochs=4,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    validate_every=2,
    warmup_epochs=0.5,
)


@dataclass(frozen=True)
class Run:
    """A finished run, and its page as it was after each validation."""

    out: Path
    rows: list[dict[str, float]]
    pages: list[str]


@pytest.fixture(scope="module")
def finished(on_disk: Callable[[str], Dataset], tmp_path_factory: pytest.TempPathFactory) -> Run:
    out, pages = tmp_path_factory.mktemp("runs") / "doors <1>", []

    def note(row: dict[str, float]) -> None:
        if "mean_iou" in row:
            pages.append((out / "report.html").read_text(encoding="utf-8"))

    history = train(
        SETTINGS, on_disk("train"), on_disk("val"), out, description="drawn doors", on_progress=note
    )
    return Run(out, history.rows, pages)


def test_the_page_can_be_watched_from_the_first_validation_on(finished: Run):
    assert len(finished.pages) == 2
    assert "Epoch 2 of 4, " in finished.pages[0]
    assert "Epoch 4 of 4, " in finished.pages[1]
    assert finished.pages[1] == (finished.out / "report.html").read_text(encoding="utf-8")


def test_the_page_holds_the_figures_of_the_run(finished: Run):
    page, rows = finished.pages[-1], finished.rows
    best = max((row for row in rows if "mean_iou" in row), key=lambda row: row["mean_iou"])
    assert (
        f"Best mean IoU {best['mean_iou']:.4f}, in epoch {best['epoch']}; last "
        f"{rows[-1]['mean_iou']:.4f}." in page
    )
    assert f"loss, last {rows[-1]['loss']:.3f}" in page
    assert f"learning rate, last {rows[-1]['lr']:.1e}" in page
    assert len(re.findall(r"<svg", page)) == 5
    speed = sum(row["images_per_s"] for row in rows) / 4
    waited = sum(row["data_wait"] for row in rows[1:]) / 3
    assert (
        f"On average {speed:.1f} photos per second; {waited:.1%} of the time was spent waiting for "
        "photos." in page
    )


def test_the_table_of_classes_holds_the_best_and_the_last_scores(finished: Run):
    page = finished.pages[-1]
    for name in ("best", "last"):
        metadata = read_metadata(finished.out / f"{name}.safetensors")
        assert f"IoU, {name} (epoch {metadata['epoch']})" in page
        for entry in json.loads(metadata["scores"])["classes"]:
            assert re.search(rf"</span>{entry['name']}</td>.*?<td>{entry['iou']:.4f}</td>", page)


def test_the_page_says_what_was_trained_and_where_things_lie(finished: Run):
    page = html.unescape(finished.pages[-1])
    description = json.loads((finished.out / "run.json").read_text())
    for words in (
        "galago train: doors <1>",
        "drawn doors: 4 photos, 2 for validation",
        "random weights",
        description["device"],
        description["started"],
        description["versions"]["torch"],
        "closest recipe, camvid",
        "<td>crop_size</td><td>(64, 64)</td><td>(352, 480)</td>",
        str(finished.out.resolve()),
        "best.safetensors",
        "galago val DATA --model '",
        "galago export '",
    ):
        assert words in page, words


def test_the_page_needs_nothing_else_and_shows_the_panel(finished: Run):
    page = finished.pages[-1]
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "<script" not in page
    (data,) = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    expected = images.load(finished.out / "panel.jpg")
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 3  # compressed once more


def test_a_large_panel_is_scaled_down(tmp_path: Path):
    images.save(tmp_path / "panel.jpg", np.zeros((100, 4000, 3), np.uint8))
    assert read_grid(tmp_path / "panel.jpg").shape == (40, 1600, 3)


def test_best_weights_that_were_moved_away_do_not_end_a_run(finished: Run, tmp_path: Path):
    for file in ("run.json", "panel.jpg", "last.safetensors"):
        (tmp_path / file).write_bytes((finished.out / file).read_bytes())
    page = draw_page(tmp_path, SETTINGS, finished.rows)
    assert "IoU, last (epoch 4)" in page
    assert "IoU, best" not in page


def test_settings_are_compared_with_the_closest_recipe():
    assert closest_recipe(replace(scenes(), seed=3)) == ("scenes", [("seed", 3, 0)])
    assert closest_recipe(camvid()) == ("camvid", [])
    assert isinstance(closest_recipe(TrainConfig())[0], str)


def draw_chart(
    points: list[tuple[float, float]], *, caption: str, format_value: Callable[[float], str]
) -> str:
    curve = lay_out_curve(points, format_value)
    return render("curve.html", {"curve": curve, "caption": caption}).strip()


def points_of(svg: str) -> np.ndarray:
    (text,) = re.findall(r'<polyline points="([^"]+)"', svg)
    return np.array([[float(number) for number in pair.split(",")] for pair in text.split()])


def test_a_curve_runs_from_corner_to_corner():
    svg = draw_chart([(1, 0.0), (2, 1.0), (3, 0.5)], caption="loss", format_value="{:.2f}".format)
    top, bottom = TOP, HEIGHT - BOTTOM
    middle = (LEFT + WIDTH - RIGHT) / 2
    assert points_of(svg).tolist() == [
        [LEFT, bottom],
        [middle, top],
        [WIDTH - RIGHT, (top + bottom) / 2],
    ]


def test_axes_and_the_last_value_are_written():
    svg = draw_chart([(1, 3.0), (4, 0.0)], caption="a < b", format_value="{:.1f}".format)
    assert re.findall(r">([^<>]+)</text>", svg) == ["3.0", "2.0", "1.0", "0.0", "epoch 1", "4"]
    assert "<figcaption>a &lt; b, last 0.0</figcaption>" in svg


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0])
def test_one_point_and_a_flat_curve_are_drawn(value: float):
    for points in ([(5, value)], [(5, value), (6, value)]):
        drawn = points_of(draw_chart(points, caption="x", format_value=str))
        assert np.isfinite(drawn).all()
        assert drawn[0, 0] == LEFT


def test_values_that_are_not_finite_are_left_out_and_nothing_is_no_curve():
    assert (
        len(
            points_of(
                draw_chart([(1, 1.0), (2, float("nan")), (3, 2.0)], caption="x", format_value=str)
            )
        )
        == 2
    )
    assert (
        draw_chart([], caption="x", format_value=str)
        == "<figure><figcaption>x: nothing yet</figcaption></figure>"
    )


def test_a_long_run_is_thinned_out_but_keeps_its_ends():
    drawn = points_of(
        draw_chart(
            [(epoch, float(epoch)) for epoch in range(1, 5001)], caption="x", format_value=str
        )
    )
    assert len(drawn) == MAX_POINTS
    assert drawn[[0, -1], 0].tolist() == [LEFT, WIDTH - RIGHT]
