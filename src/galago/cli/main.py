"""The `galago` command: its subcommands, and how their errors are printed."""

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from galago._core.write_errors import advice, is_known
from galago.cli._console import prepare_streams, print_json_error, say
from galago.cli._options import Command
from galago.cli.bench import bench
from galago.cli.classify import classify
from galago.cli.data import app as data
from galago.cli.export import export
from galago.cli.models import app as models
from galago.cli.models import go_offline
from galago.cli.predict import predict
from galago.cli.train import train
from galago.cli.val import val
from galago.cli.verify import verify
from galago.errors import GalagoError, InterruptError

MISUSED = 2  # the exit code

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command(cls=Command)(predict)
app.command(cls=Command)(val)
app.command(cls=Command)(train)
app.command(cls=Command)(export)
app.command(cls=Command)(verify)
app.command(cls=Command)(bench)
app.command(cls=Command)(classify)
app.add_typer(data, name="data")
app.add_typer(models, name="models")


def show_version(requested: bool) -> None:
    """Print the version and end, if `--version` was given."""
    if requested:
        from importlib import metadata

        say(f"galago {metadata.version('galago')}")
        raise typer.Exit


@app.callback()
def galago(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=show_version),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Download nothing; what is missing is an error.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error comes from.", hidden=True)
    ] = False,
) -> None:
    """High-resolution semantic segmentation on small devices, with EfficientViT."""
    if offline:
        go_offline()


def main() -> None:
    """Run the command line.

    A user's mistake ends in one red line and an exit code, without a traceback.

    Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted. With `--json` the last line of
    standard output is one JSON object even then; of a command that ended before its own, `{"error":
    "..."}`.
    """
    prepare_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, for example `head`, has seen enough
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # for the last flush of the interpreter
        sys.exit(1)
    except (GalagoError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print_error(_describe(error), "" if isinstance(error, InterruptError) else "error: ")
        sys.exit(error.exit_code if isinstance(error, GalagoError) else 1)
    except SystemExit as end:
        if end.code == InterruptError.exit_code:  # typer turns Ctrl-C into this exit code
            print_error("interrupted")
        elif end.code == MISUSED:
            _print_json_error("The command is misused; standard error says how.")
        raise


def _describe(error: Exception) -> str:
    """Return in words what went wrong."""
    if isinstance(error, OSError) and error.strerror:  # disk full, no permission ...
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}" + (f". {advice(error)}" if is_known(error) else "")
    return str(error)


def print_error(message: str, before: str = "") -> None:
    """Print to standard error, in red on a terminal, and as JSON where that was asked for."""
    say(f"{before}{message}", err=True, style="red", lines=True)
    _print_json_error(message)


def _print_json_error(error: str) -> None:
    """Print an error as JSON where that was asked for.

    Errors of a closed or full standard output are printed elsewhere.
    """
    if "--json" in sys.argv:
        with suppress(OSError):
            print_json_error(error)
            sys.stdout.flush()
