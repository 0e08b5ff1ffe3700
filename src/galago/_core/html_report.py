"""What the HTML pages of all reports share: one file each, styles and pictures inside."""

import base64
import html
from collections.abc import Iterable, Sequence

from galago._core.printable import printable

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
table { border-collapse: collapse; margin: .8rem 0 }
td, th { padding: .25rem .8rem; border-bottom: 1px solid #d8dee4; text-align: right }
td:first-child, th:first-child { text-align: left }
.chip { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border: 1px solid #0003 }
.verdict { padding: .8rem 1.2rem; border-radius: 8px; font-weight: 600 } .ok { background: #dafbe1 } .bad { background: #ffebe9 }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .8rem }
figure { margin: 0 } img { max-width: 100% } .pictures img { width: 100% } figcaption { font-size: .85rem; color: #57606a }
"""


def escape(text: object) -> str:
    """Return text as HTML: no markup, no control characters; the one way for text into a page."""
    return html.escape(printable(text))


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """Return a whole page.

    Args:
        title: plain text, for the window and as the headline.
        parts: HTML, in order.
        style: rules beside the common ones.
    """
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}{style}</style>'
    page = f"{head}<h1>{escape(title)}</h1>{''.join(parts)}</html>\n"
    return page.encode("utf-8", "backslashreplace").decode()


def picture(data: bytes, kind: str, alt: str) -> str:
    """Return an image that is part of the page.

    Args:
        data: the file.
        kind: png or jpeg.
        alt: what it shows, as plain text.
    """
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of HTML cells under one line of heads; no line where there are no heads."""
    lines = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"] if heads else []
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"
