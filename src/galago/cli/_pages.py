"""HTML pages beside the other results of a command."""

from collections.abc import Callable
from pathlib import Path

from galago._core.atomic_io import write_whole
from galago._core.html_report import can_render
from galago.cli._console import say

MISSING_NOTE = (
    "Note: {name} is left out, because it needs Jinja2. Run: pip install 'galago[report]'"
)


def write_page(path: Path, draw: Callable[[], str]) -> list[Path]:
    """Write an HTML page, or print a note on standard error where Jinja2 is not installed.

    Args:
        path: the file to write.
        draw: returns the page.
    Returns:
        the file, if it was written.
    """
    if not can_render():
        say(MISSING_NOTE.format(name=path.name), err=True)
        return []
    write_whole(path, draw().encode())
    return [path]
