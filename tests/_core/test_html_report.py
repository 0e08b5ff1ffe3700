import base64
import sys

import cv2
import numpy as np
import pytest

from galago._core import html_report
from galago._core.html_report import can_render, render
from galago.errors import MissingDependencyError


def page(title: str = "t", **values: object) -> str:
    context = {"ok": True, "tolerance": "", "checks": [], "general": [], "files": []}
    return render("verification.html", {"title": title, "scores": None, **context, **values})


def test_a_page_holds_its_title_and_style_and_escapes_the_title():
    text = page("a < b")
    assert text.startswith("<!doctype html>")
    assert text.count("a &lt; b") == 2
    assert "img { image-rendering: pixelated }" in text
    assert text.rstrip().endswith("</html>")


def test_an_image_is_part_of_the_page():
    image = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    file = {"title": "f", "failures": [], "stage_errors": [], "pictures": [('a "b"', image)]}
    text = page(files=[file])
    assert '<img alt="a &#34;b&#34;" src="data:image/png;base64,' in text
    data = text.partition("base64,")[2].partition('"')[0]
    pixels = np.frombuffer(base64.b64decode(data), np.uint8)
    assert (cv2.imdecode(pixels, cv2.IMREAD_COLOR_RGB) == image).all()


def test_foreign_text_in_a_page_is_shown_as_it_is():
    text = page("caf\udce9", tolerance="<b>\x1b[31m&\udce9\u202e\n")
    assert r"<p>&lt;b&gt;\x1b[31m&amp;\xe9\u202e\x0a</p>" in text
    assert r"<h1>caf\xe9</h1>" in text
    text.encode()  # nothing is left that UTF-8 lacks


def test_a_page_without_jinja2_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    html_report._environment.cache_clear()
    assert not can_render()
    with pytest.raises(MissingDependencyError, match=r"jinja2 is missing.*'galago\[report\]'"):
        page()
    monkeypatch.undo()
    assert can_render()
