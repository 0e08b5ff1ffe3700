"""Bars and lines on standard error that say how far the work is.

Their text goes through the same door as all other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from galago._core.printable import printable
from galago.cli._console import fit


class PlainColumn(ProgressColumn):
    """Text of a task, without markup and control characters."""

    def __init__(self, form: str = "{task.description}") -> None:
        """Take the form of the text, as `str.format` knows it."""
        super().__init__()
        self._form = form

    def render(self, task: Task) -> Text:
        """Return the text."""
        return Text(fit(printable(self._form.format(task=task)), err=True))


@contextmanager
def counting_bar(
    what: str, total: int | None
) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """Show a bar while a block runs; yield what advances it by one, and what changes its text."""
    columns = (PlainColumn(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task), lambda words: bar.update(task, description=words)


@contextmanager
def spinner(first: str) -> Iterator[Callable[[str], None]]:
    """Show a line on standard error while a block runs, on a terminal.

    Yields what changes the line.
    """
    console = Console(stderr=True)
    turning = SpinnerColumn("dots" if console.encoding.startswith("utf") else "line")
    with Progress(
        turning, PlainColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(first, total=None)
        yield lambda what: bar.update(task, description=what)


@contextmanager
def download_bar(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how much of a download is done while a block runs.

    Yields what takes the bytes done and those of all.
    """
    columns = (
        PlainColumn(),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


class PhotoBars:
    """Bars of `galago predict`: one over all photos, and one of the tiles of a large photo.

    On a terminal only.
    """

    def __init__(self, total: int | None) -> None:
        """Take the number of photos or frames, if it is known; a single one has no bar."""
        console = Console(stderr=True)
        columns = (PlainColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("Labeling", total=total, visible=total != 1)

    def __enter__(self) -> "PhotoBars":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """Count an image."""
        self._bar.advance(self._task)

    @contextmanager
    def tiles(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar of a photo's tiles while a block runs.

        Yields what takes the number of tiles done and of all.
        """
        task = self._bar.add_task(name, total=None)
        try:
            yield lambda done, count: self._bar.update(task, completed=done, total=count)
        finally:
            self._bar.remove_task(task)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._bar.console.print(Text(fit(printable(text), err=True)), soft_wrap=True)


class TrainingBars:
    """Bars of `galago train`: reading the validation photos, and the steps of all epochs.

    Lines stay above them.
    """

    def __init__(self, epochs: int, *, shown: bool) -> None:
        """Take the number of epochs, and whether to show anything."""
        columns = (
            PlainColumn("{task.fields[what]}"),
            BarColumn(),
            PlainColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self._look = self._bar.add_task(
            "looking", visible=False, what="reading the validation photos", figures=""
        )
        self._task = self._bar.add_task(
            "training", total=None, what=f"epoch 1/{epochs}", figures=""
        )

    def __enter__(self) -> "TrainingBars":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def look(self, checked: float, photos: float) -> None:
        """Show how many validation photos have been read."""
        self._bar.update(self._look, total=photos, completed=checked, visible=checked < photos)

    def step(self, what: str, figures: str, *, done: float, total: float) -> None:
        """Show how many steps are done."""
        self._bar.update(self._task, total=total, completed=done, what=what, figures=figures)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._bar.console.print(Text(fit(printable(text), err=True)))
