import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import typer

from galago.cli import main as command_line
from galago.errors import ConfigError, DataError

LONG = "a message that is longer than one line of a terminal, " * 4


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from galago.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def end_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run `main` with a command that raises an error, and return the exit code."""

    def run_main(error: BaseException, *flags: str) -> object:
        broken = typer.Typer(pretty_exceptions_enable=False)

        @broken.command()
        def fail(debug: bool = False, json: bool = False) -> None:
            raise error

        monkeypatch.setattr(command_line, "app", broken)
        monkeypatch.setattr(sys, "argv", ["galago", *flags])
        with pytest.raises(SystemExit) as end:
            command_line.main()
        return end.value.code

    return run_main


def test_help_lists_the_commands():
    done = run("--help")
    assert done.returncode == 0
    for command in ("predict", "val", "train", "export", "bench"):
        assert command in done.stdout


def test_help_is_quick_and_loads_no_engine():
    code = (
        "import sys; from galago.cli.main import app; app(['--help'], standalone_mode=False); "
        "assert not {'torch', 'openvino', 'numpy', 'cv2'} & sys.modules.keys(), 'heavy import'"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 5  # half a second on an idle machine


def test_version_prints_name_and_number():
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("galago 0.")


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["val"], ["val", "--dta", "x"], ["val", "--data", "x", "--threads", "many"]],
)
def test_misuse_ends_with_2(arguments: list[str]):
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_mistake_of_the_user_is_one_line_and_1(
    end_with: Callable[..., object], capsys: pytest.CaptureFixture[str]
):
    assert end_with(DataError(LONG)) == 1
    printed = capsys.readouterr()
    assert printed.err == f"error: {LONG}\n"
    assert printed.out == ""


def test_square_brackets_in_a_message_are_printed_as_they_are(
    end_with: Callable[..., object], capsys: pytest.CaptureFixture[str]
):
    assert end_with(DataError("pip install 'galago[train]' [red]")) == 1
    assert capsys.readouterr().err == "error: pip install 'galago[train]' [red]\n"


def test_an_error_under_json_is_one_json_object_with_the_exit_code(
    end_with: Callable[..., object], capsys: pytest.CaptureFixture[str]
):
    assert end_with(ConfigError("Choose another --out: caf\udce9."), "--json") == 2
    printed = capsys.readouterr()
    assert printed.err == "error: Choose another --out: caf\\xe9.\n"
    assert json.loads(printed.out) == {"error": "Choose another --out: caf\udce9."}
    assert printed.out.count("\n") == 1


def test_an_interrupt_under_json_is_one_json_object(
    end_with: Callable[..., object], capsys: pytest.CaptureFixture[str]
):
    assert end_with(KeyboardInterrupt(), "--json") == 130
    assert json.loads(capsys.readouterr().out) == {"error": "interrupted"}


def test_misuse_under_json_is_one_json_object():
    done = run("val", "--data", "x", "--dta", "y", "--json")
    assert done.returncode == 2
    assert list(json.loads(done.stdout)) == ["error"]
    assert "--dta" in done.stderr


def test_escape_sequences_and_markup_in_an_error_are_shown_as_they_are(
    end_with: Callable[..., object], capsys: pytest.CaptureFixture[str]
):
    assert end_with(DataError("\x1b[2Ja\u202e.jpg [/] is no photo")) == 1
    assert capsys.readouterr().err == r"error: \x1b[2Ja\u202e.jpg [/] is no photo" + "\n"


def test_a_wrong_setting_ends_with_2(end_with: Callable[..., object]):
    assert end_with(ConfigError("no")) == 2


def test_a_full_disk_is_one_line_that_names_the_file(
    end_with: Callable[..., object], capsys: pytest.CaptureFixture[str]
):
    assert end_with(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/val/metrics.json")) == 1
    reason = f"{os.strerror(errno.ENOSPC)}. Free space or choose another folder."
    assert capsys.readouterr().err == f"error: runs/val/metrics.json: {reason}\n"


def test_an_interrupt_ends_with_130(
    end_with: Callable[..., object], capsys: pytest.CaptureFixture[str]
):
    assert end_with(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_debug_shows_where_an_error_comes_from(end_with: Callable[..., object]):
    with pytest.raises(DataError):
        end_with(DataError("no"), "--debug")


def test_a_mistake_of_ours_keeps_its_traceback(end_with: Callable[..., object]):
    with pytest.raises(ZeroDivisionError):
        end_with(ZeroDivisionError())


@pytest.mark.skipif(os.name == "nt", reason="needs a shell with pipes")
def test_a_closed_pipe_is_quiet():
    code = (
        "import sys, typer; from galago.cli import main as m; m.app = typer.Typer()\n"
        "@m.app.command()\n"
        "def speak(): print('word')\n"
        "sys.stdin.read(); sys.argv = ['galago']; m.main()"
    )
    speaker = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert speaker.stdout is not None
    speaker.stdout.close()  # before it speaks: it waits for the end of its input
    speaker.stdout = None
    _, error = speaker.communicate("")
    assert error == ""
    assert speaker.returncode == 1
