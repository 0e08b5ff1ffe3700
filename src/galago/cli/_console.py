"""The one door for text to the terminal and to logs.

Names from foreign files (of classes, images, models) are shown as they are: no markup is read in
them, and control characters and what the encoding of the console lacks become escapes. Only this
file and `_progress.py` import rich, and no other prints; a test sees to it.
"""

import io
import json
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import typer

from galago._core.printable import printable, printable_lines

Cell = str | tuple[int, int, int]  # text, or a color to show
_printed: list[dict[str, Any]] = []  # objects of --json so far: one per process


def prepare_streams() -> None:
    """Let standard output and standard error escape what their encoding lacks, as a console or a
    log in cp1252 does.
    """
    _printed.clear()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: object, *, err: bool = False, style: str = "", lines: bool = False) -> None:
    """Print a line.

    Args:
        text: what to print.
        err: whether to standard error.
        style: color on a terminal, in rich's words.
        lines: whether line breaks stay, else they are shown as escapes.
    """
    shown = fit(printable_lines(text) if lines else printable(text), err=err)
    if not style:
        typer.echo(shown, err=err)
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=err).print(Text(shown, style=style), soft_wrap=True)


def print_json(facts: dict[str, Any]) -> None:
    r"""Print the object of `--json` as one line of ASCII.

    A byte of a name that is not UTF-8 becomes `\udcXX`.
    """
    _printed.append(facts)
    typer.echo(json.dumps(facts))


def print_json_error(message: str) -> None:
    """Print the object of `--json` of a command that failed, unless it has printed one already."""
    if not _printed:
        print_json({"error": message})


def fit(text: str, *, err: bool = False) -> str:
    """Return text with what the encoding of a stream lacks escaped."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@dataclass(eq=False, kw_only=True)
class Table:
    """A table to print.

    Attributes:
        title: lines above the table.
        form: `lines` around the cells, `simple` for a line under the headings, `plain` for none.
        width: in characters where the output is not a terminal (default: chosen by rich).
    """

    title: str = ""
    form: str = "lines"
    width: int | None = None
    _columns: list[tuple[str, bool, bool]] = field(default_factory=list)
    _rows: list[tuple[tuple[Cell, ...], str]] = field(default_factory=list)

    def add_column(self, heading: str, *, right: bool = False, whole: bool = False) -> None:
        """Add a column: `right` aligns numbers, `whole` keeps a cell on one line."""
        self._columns.append((heading, right, whole))

    def add_row(self, *cells: Cell, style: str = "") -> None:
        """Add a row of cells, each a text or an RGB color."""
        self._rows.append((cells, style))

    def show(self, *, err: bool = False) -> None:
        """Print the table."""
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        def shown(cell: Cell) -> Text:
            if isinstance(cell, str):
                return Text(fit(printable(cell), err=err))
            return Text("  ", style="on rgb({},{},{})".format(*cell))

        console = Console(stderr=err)
        if self.width and not console.is_terminal:
            console = Console(stderr=err, width=self.width)
        title = (
            Text(fit(printable_lines(self.title), err=err), style="italic") if self.title else None
        )
        if self.form == "plain":
            table = RichTable.grid(padding=(0, 2))
        elif self.form == "simple":
            table = RichTable(
                title=title,
                title_justify="left",
                box=box.SIMPLE,
                collapse_padding=True,
                pad_edge=False,
            )
        else:
            table = RichTable(title=title, title_justify="left")
        cut: Literal["ellipsis", "crop"] = (
            "ellipsis" if console.encoding.startswith("utf") else "crop"
        )
        for heading, right, whole in self._columns:
            table.add_column(
                shown(heading),
                justify="right" if right else "left",
                no_wrap=whole,
                overflow=cut if whole else "fold",
            )
        for cells, style in self._rows:
            table.add_row(*map(shown, cells), style=style or None)
        console.print(table)
