import re

import numpy as np
import pytest

pytest.importorskip("torch")

from galago.training.report import BOTTOM, HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, draw_chart

pytestmark = pytest.mark.torch


def points_of(svg: str) -> np.ndarray:
    (text,) = re.findall(r'<polyline points="([^"]+)"', svg)
    return np.array([[float(number) for number in pair.split(",")] for pair in text.split()])


def test_a_curve_runs_from_corner_to_corner():
    svg = draw_chart([(1, 0.0), (2, 1.0), (3, 0.5)], caption="loss", form="{:.2f}".format)
    top, bottom = TOP, HEIGHT - BOTTOM
    middle = (LEFT + WIDTH - RIGHT) / 2
    assert points_of(svg).tolist() == [
        [LEFT, bottom],
        [middle, top],
        [WIDTH - RIGHT, (top + bottom) / 2],
    ]


def test_axes_and_the_last_value_are_written():
    svg = draw_chart([(1, 3.0), (4, 0.0)], caption="a < b", form="{:.1f}".format)
    assert re.findall(r">([^<>]+)</text>", svg) == ["3.0", "2.0", "1.0", "0.0", "epoch 1", "4"]
    assert "<figcaption>a &lt; b, last 0.0</figcaption>" in svg


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0])
def test_one_point_and_a_flat_curve_are_drawn(value: float):
    for points in ([(5, value)], [(5, value), (6, value)]):
        drawn = points_of(draw_chart(points, caption="x", form=str))
        assert np.isfinite(drawn).all()
        assert drawn[0, 0] == LEFT


def test_values_that_are_not_finite_are_left_out_and_nothing_is_no_curve():
    assert (
        len(points_of(draw_chart([(1, 1.0), (2, float("nan")), (3, 2.0)], caption="x", form=str)))
        == 2
    )
    assert (
        draw_chart([], caption="x", form=str)
        == "<figure><figcaption>x: nothing yet</figcaption></figure>"
    )


def test_a_long_run_is_thinned_out_but_keeps_its_ends():
    drawn = points_of(
        draw_chart([(epoch, float(epoch)) for epoch in range(1, 5001)], caption="x", form=str)
    )
    assert len(drawn) == MOST_POINTS
    assert drawn[[0, -1], 0].tolist() == [LEFT, WIDTH - RIGHT]
