"""Text of strangers on the terminal: one door, and what comes out of it."""

import ast
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from galago.cli import _console as console
from galago.cli import main as command_line

SOURCE = Path(command_line.__file__).parent.parent
DOORS = {"_console.py", "_progress.py"}
COMMANDS = [file for file in sorted((SOURCE / "cli").glob("*.py")) if file.name not in DOORS]


def ways_out(file: Path) -> Iterator[str]:
    """Find what could reach the terminal beside the door."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names) if any(
                name.name.split(".")[0] == "rich" for name in names
            ):
                yield f"{file.name}:{node.lineno} imports rich"
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "rich":
                yield f"{file.name}:{node.lineno} imports rich"
            case ast.Call(func=ast.Name(id="print")):
                yield f"{file.name}:{node.lineno} prints"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="typer"), attr="echo" | "secho")):
                yield f"{file.name}:{node.lineno} prints"
            case ast.Attribute(value=ast.Attribute(attr="stdout" | "stderr"), attr="write"):
                yield f"{file.name}:{node.lineno} writes"


@pytest.mark.parametrize("file", COMMANDS, ids=lambda file: file.name)
def test_a_command_prints_through_the_door_alone(file: Path):
    assert not list(ways_out(file))


def test_pages_escape_text_through_the_door_alone():
    files = [
        file
        for file in SOURCE.rglob("*.py")
        if "from html import" in file.read_text(encoding="utf-8")
    ]
    assert not files


def test_markup_and_escape_sequences_in_a_line_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str],
):
    console.say("leaf [/] [red]x[/red] :smile: \x1b[31m\x07\u202e\udce9 a\nb")
    console.say("leaf [/] [red]x[/red]", style="bold red")
    first, second = capsys.readouterr().out.splitlines()
    assert first == r"leaf [/] [red]x[/red] :smile: \x1b[31m\x07\u202e\xe9 a\x0ab"
    assert second == "leaf [/] [red]x[/red]"


def test_markup_and_escape_sequences_in_a_table_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str],
):
    table = console.Table(title="a [/] \x1b[1m title")
    table.add_column("[bold]class")
    table.add_column("share", right=True)
    table.add_row("[/]", "1 %", style="red")
    table.add_row("pole [thin]\x1b[2J", ":smile:")
    table.show()
    shown = capsys.readouterr().out
    for text in (r"a [/] \x1b[1m title", "[bold]class", "[/]", r"pole [thin]\x1b[2J", ":smile:"):
        assert text in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "latin-1", "cp437", "shift_jis"])
def test_a_console_that_lacks_characters_shows_escapes(
    monkeypatch: pytest.MonkeyPatch, encoding: str
):
    log = io.TextIOWrapper(
        io.BytesIO(), encoding=encoding
    )  # strict, as standard output of a log file is
    monkeypatch.setattr(sys, "stdout", log)
    console.prepare_streams()
    table = console.Table(title="Зелёный лист")
    table.add_column("класс")
    table.add_row("背景 é \U0001f33f")
    table.show()
    console.say("背景 é")
    log.flush()
    assert isinstance(log.buffer, io.BytesIO)
    shown = log.buffer.getvalue().decode(encoding)
    expected = "背景 é \U0001f33f".encode(encoding, "backslashreplace").decode(encoding)
    assert expected in shown
    rows = [
        line
        for line in shown.splitlines()
        if expected in line or "класс".encode(encoding, "backslashreplace").decode(encoding) in line
    ]
    if encoding != "utf-8" and encoding != "shift_jis":
        assert len({len(row) for row in rows}) == 1, "the table is out of line"


def test_progress_shows_names_as_they_are():
    from rich.progress import Progress

    from galago.cli._progress import PlainColumn

    bar = Progress(PlainColumn())
    task = bar.add_task("a [/] \x1b[31m{x}")
    assert PlainColumn().render(bar.tasks[task]).plain == r"a [/] \x1b[31m{x}"


def test_json_is_ascii_and_gives_a_name_back(capsys: pytest.CaptureFixture[str]):
    console.print_json({"name": "caf\udce9 \x1b 背景"})
    line = capsys.readouterr().out
    assert line.isascii()
    assert "\x1b" not in line
    assert json.loads(line) == {"name": "caf\udce9 \x1b 背景"}
