"""A line that says what is being done and for how long, for work whose end is not known."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def spinner(first: str) -> Iterator[Callable[[str], None]]:
    """Show a line on standard error while a block runs, on a terminal; call what it gives to change the line."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(first, total=None)
        yield lambda what: bar.update(task, description=what)
