"""Read, work and write at the same time, in order and in bounded memory.

OpenCV, NumPy and the engines release Python's lock while they compute, so three threads keep
several cores busy: one reads, the caller's own works, one writes. Two bounded queues connect them:
a slow side makes the others wait.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

QUEUE_LENGTH = 4  # frames; more would only cost memory, since the slowest side sets the pace
WAKE_UP_S = 0.1  # a wait without a timeout would not notice Ctrl-C on Windows, nor a stop
STALLED_S = 0.5  # after Ctrl-C, for a camera or a stream that sends nothing
_END = object()  # the last item of a queue


def run_pipeline(
    items: Iterable[In],
    work: Callable[[In], Out | None],
    write: Callable[[Out], None],
    *,
    length: int = QUEUE_LENGTH,
    finish: bool = False,
) -> None:
    """Read items in one thread, work on them in the caller's, write the results in a third.

    Args:
        items: advanced in the reading thread; a generator is closed there.
        work: called with each item; None leaves nothing to write.
        write: called with each result, in the order of the items.
        length: items that wait before the work, and before the writing, at most. Each thread holds
            one more.
        finish: whether results that are ready are still written after Ctrl-C (default: they are
            dropped).
    Raises:
        KeyboardInterrupt: Ctrl-C; all threads have ended, except for a reader whose camera hangs.
        BaseException: the first error of any thread; the others have ended.
    """
    inputs: Queue[Any] = Queue(length)
    outputs: Queue[Any] = Queue(length)
    stop_reading, stop_writing = Event(), Event()
    errors: list[BaseException] = []

    def read_all() -> None:
        try:
            for item in items:
                if not _put(inputs, item, stop_reading):
                    return
            _put(inputs, _END, stop_reading)
        finally:
            if isinstance(items, Generator):
                items.close()

    def write_all() -> None:
        for result in _take(outputs, stop_writing):
            write(result)

    def guard(side: Callable[[], None]) -> None:
        try:
            side()
        except BaseException as error:  # raised again in the caller's thread
            errors.append(error)
            stop_reading.set()
            stop_writing.set()

    # daemons: a camera that hangs must not keep the program alive
    reader, writer = (
        Thread(target=guard, args=(side,), daemon=True) for side in (read_all, write_all)
    )
    reader.start()
    writer.start()
    try:
        for item in _take(inputs, stop_reading):
            result = work(item)
            if result is not None and not _put(outputs, result, stop_writing):
                break
    except BaseException as error:
        if not (finish and isinstance(error, KeyboardInterrupt)):
            stop_writing.set()
        raise
    finally:
        stop_reading.set()
        _put(outputs, _END, stop_writing)
        writer.join()
        reader.join(STALLED_S)
    if errors:
        raise errors[0]


def _put(queue: Queue[Any], item: object, stop: Event) -> bool:
    """Add an item, after waiting for room; return False where the other side has stopped."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=WAKE_UP_S)
        except Full:
            continue
        return True
    return False


def _take(queue: Queue[Any], stop: Event) -> Iterator[Any]:
    """Yield the items of a queue in order, waiting for each, until its end or a stop."""
    while not stop.is_set():
        try:
            item = queue.get(timeout=WAKE_UP_S)
        except Empty:
            continue
        if item is _END:
            return
        yield item
