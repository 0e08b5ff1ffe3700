"""What becomes of a run whose photo-reading processes die."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from galago.errors import TrainingError

LOST = re.compile(
    r"DataLoader worker \(pid"
)  # torch's words, from a signal handler or from the queue of batches


def is_lost_worker(error: BaseException) -> bool:
    """Tell whether torch says that a process which reads photos is gone."""
    return isinstance(error, RuntimeError) and bool(LOST.match(str(error)))


@contextmanager
def explain_lost_workers() -> Iterator[None]:
    """Say in one line what it means that a worker is gone.

    torch notices it in a signal handler, so the error can come out of any line of the block.

    Raises:
        TrainingError: a worker was killed or crashed.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_lost_worker(error):
            raise
        cause = str(error).splitlines()[0].strip().rstrip(".")
        shared = (
            " In a container, give it more shared memory, too." if "us error" in str(error) else ""
        )
        raise TrainingError(
            f"A process that reads photos is gone ({cause}), most often because memory ran out. "
            "Go on from the last saved epoch with --resume and fewer --workers; --workers 0 needs "
            f"the least memory.{shared}"
        ) from error
