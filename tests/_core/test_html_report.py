import base64

from galago._core.html_report import document, escape, picture, table


def test_a_page_holds_its_title_and_style_and_escapes_the_title():
    text = document("a < b", ["<p>one</p>", "<p>two</p>"], ".x { color: red }")
    assert text.startswith("<!doctype html>")
    assert text.count("a &lt; b") == 2
    assert "<p>one</p><p>two</p></html>" in text
    assert ".x { color: red }</style>" in text


def test_a_picture_lies_in_the_page():
    data = base64.b64encode(b"pixels").decode()
    assert (
        picture(b"pixels", "png", 'a "b"')
        == f'<img alt="a &quot;b&quot;" src="data:image/png;base64,{data}">'
    )


def test_a_table_without_heads_has_no_line_for_them():
    assert table((), [("a", "1")]) == "<table><tr><td>a</td><td>1</td></tr></table>"
    assert table(("x",), [("1",)]) == "<table><tr><th>x</th></tr><tr><td>1</td></tr></table>"


def test_foreign_text_in_a_page_is_shown_as_it_is():
    assert escape("<b>\x1b[31m&\udce9\u202e\n") == r"&lt;b&gt;\x1b[31m&amp;\xe9\u202e\x0a"
    page = document("caf\udce9", [escape("a\udcff"), "\udce9 by mistake"])
    assert r"<h1>caf\xe9</h1>a\xff" in page
    page.encode()  # nothing is left that UTF-8 lacks
