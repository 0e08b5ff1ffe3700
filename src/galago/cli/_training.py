"""What `galago train` shows while it runs, and what a stop leaves; the same for every recipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galago.training.config import Config

SCORES = {"mean_iou": "mean IoU", "top1": "top-1 accuracy"}


def resume_hint(out: Path) -> str:
    """Say what becomes of a run that was stopped by Ctrl-C."""
    import shlex
    import sys

    from galago.training.state import find_state

    if not (out / "run.json").exists():
        return "interrupted before the first epoch, so there is nothing to resume"
    flags = [flag for flag in sys.argv[1:] if flag != "--resume"]
    command = shlex.join(["galago", *flags, "--resume"])
    if find_state(out) is None:
        return f"interrupted before a state was saved; begin again with: {command}"
    return f"interrupted; go on from the last saved epoch with: {command}"


def interrupt_once() -> None:
    """Let the first Ctrl-C end the process in its own time, and those after it pass unheard."""
    import signal
    import threading
    from types import FrameType

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, end)


@contextmanager
def progress_bar(config: "Config", *, shown: bool) -> Iterator[Callable[[dict[str, float]], None]]:
    """Show epoch, loss, learning rate, photos per second and time left.

    One line per validation stays.
    """
    from galago.cli._progress import TrainingBars

    with TrainingBars(config.epochs, shown=shown) as bars:

        def report(row: dict[str, float]) -> None:
            if "checked" in row:
                bars.look(row["checked"], row["photos"])
                return
            if score := next((name for name in SCORES if name in row), None):
                line = f"epoch {row['epoch']:.0f}/{config.epochs}: loss {row['loss']:.3f}, {SCORES[score]} {row[score]:.4f}"
                sets = [
                    f"{name.split(' ', 1)[1]} {value:.4f}"
                    for name, value in row.items()
                    if name.startswith("mean_iou ")
                ]
                bars.say(line + (f" ({', '.join(sets)})" if sets else ""))
                return
            figures = f"loss {row['loss']:.3f}  rate {row['rate']:.1e}  {row['images_per_s']:.1f} photos/s"
            what = f"epoch {row['epoch']:.0f}/{config.epochs}"
            done = (row["epoch"] - 1) * row["steps"] + row["step"]
            bars.step(what, figures, done=done, total=config.epochs * row["steps"])

        yield report
