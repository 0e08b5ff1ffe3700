"""What `galago train` does for every recipe: the process, the progress bar, Ctrl-C, old names."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galago.training.config import Config

SCORES = {"mean_iou": "mean IoU", "top1": "top-1 accuracy"}


def prepare_process(threads: int | None) -> None:
    """Set what belongs to the whole process: allocator, threads, a warning that means nothing."""
    from warnings import filterwarnings

    import torch

    from galago.training.cpu import tune_malloc

    tune_malloc()
    # of several processes, about depthwise convolutions
    filterwarnings("ignore", message="Grad strides do not match")
    if threads:
        torch.set_num_threads(threads)


def note_old_names(
    *,
    imgsz: object,
    leave_out: object,
    mix: str | None,
    settings: Sequence[str] | None,
    shown: bool,
) -> None:
    """Print a note on standard error for each flag or setting that has a new name."""
    from galago.cli._console import say
    from galago.training.config import renamed_settings

    if not shown:
        return
    renamed: dict[str, str | None] = {
        "--imgsz": "--crop" if imgsz else None,
        "--leave-out": "--holdout" if leave_out else None,
        "--mix": "--extra-data DATA:SHARE" if mix else None,
    }
    for old, new in renamed_settings(settings or []).items():
        if not (mix and old == "mix"):
            renamed[f"--set {old}="] = f"--set {new}="
    for flag, current in renamed.items():
        if current:
            say(f"note: {flag} is now {current}", err=True)


def resume_hint(out: Path) -> str:
    """Return what to do after Ctrl-C: the command that resumes the run, if it can be resumed."""
    import shlex
    import sys

    from galago.training.resume import find_state

    if not (out / "run.json").exists():
        return "interrupted before the first epoch, so there is nothing to resume"
    flags = [flag for flag in sys.argv[1:] if flag != "--resume"]
    command = shlex.join(["galago", *flags, "--resume"])
    if find_state(out) is None:
        return f"interrupted before a state was saved; start again with: {command}"
    return f"interrupted; go on from the last saved epoch with: {command}"


def interrupt_once() -> None:
    """Let the first Ctrl-C end the process in its own time, and ignore those after it."""
    import signal
    import threading
    from types import FrameType

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_default and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupt)


@contextmanager
def progress_bar(config: "Config", *, shown: bool) -> Iterator[Callable[[dict[str, float]], None]]:
    """Show epoch, loss, learning rate, photos per second and time left.

    One line per validation stays.
    """
    from galago.cli._progress import TrainingBars

    with TrainingBars(config.epochs, shown=shown) as bars:

        def on_progress(row: dict[str, float]) -> None:
            if "checked" in row:
                bars.look(row["checked"], row["images"])
                return
            epoch = f"epoch {row['epoch']:.0f}/{config.epochs}"
            if score := next((name for name in SCORES if name in row), None):
                line = f"{epoch}: loss {row['loss']:.3f}, {SCORES[score]} {row[score]:.4f}"
                sets = [
                    f"{name.split(' ', 1)[1]} {value:.4f}"
                    for name, value in row.items()
                    if name.startswith("mean_iou ")
                ]
                bars.say(line + (f" ({', '.join(sets)})" if sets else ""))
                return
            figures = (
                f"loss {row['loss']:.3f}  lr {row['lr']:.1e}  {row['images_per_s']:.1f} photos/s"
            )
            done = (row["epoch"] - 1) * row["steps"] + row["step"]
            bars.step(epoch, figures, done=done, total=config.epochs * row["steps"])

        yield on_progress
