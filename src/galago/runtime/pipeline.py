"""Reading, labeling and writing at once, in bounded memory.

OpenCV, NumPy and the engines release Python's lock while they compute, so three threads keep
several cores busy: one reads, the caller's own labels, one writes. Between them stand two short
queues, which keep the order; a slow side makes the others wait.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from threading import Condition, Thread
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

QUEUE_LENGTH = 4  # frames; more would only cost memory, as the slowest side decides
LOOK_UP_SECONDS = 0.2  # a wait without end would not hear Ctrl-C on Windows
STALLED_SECONDS = 0.5  # after Ctrl-C, for a camera or a stream that gives nothing


class BoundedQueue(Generic[In]):
    """A queue of bounded length from one thread to another, which either of them can end."""

    def __init__(self, length: int) -> None:
        self._items: deque[In] = deque()
        self._length = length
        self._ended = False
        self._changed = Condition()

    def wait_for_room(self) -> bool:
        """Wait until there is room; return False where nothing is wanted any more."""
        with self._changed:
            while len(self._items) >= self._length and not self._ended:
                self._changed.wait(LOOK_UP_SECONDS)
            return not self._ended

    def put(self, item: In) -> bool:
        """Add an item, after waiting for room; return False where nothing is wanted any more."""
        if not self.wait_for_room():
            return False
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()
        return True

    def end(self) -> None:
        """Add nothing more; what is inside is still taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cut(self) -> None:
        """Add nothing more, and drop what is inside."""
        with self._changed:
            self._items.clear()
            self._ended = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[In]:
        """Take the items in order, waiting for each, until the end."""
        while True:
            with self._changed:
                while not self._items and not self._ended:
                    self._changed.wait(LOOK_UP_SECONDS)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class WorkerThread(Thread):
    """A thread that keeps the error it ends with, and tells the others to end as well."""

    def __init__(self, work: Callable[[], None], stop: Callable[[], None]) -> None:
        super().__init__(daemon=True)  # a camera that hangs must not keep the program alive
        self._work, self._stop = work, stop
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        except BaseException as error:  # raised again by `run_pipeline`
            self.error = error
            self._stop()


def run_pipeline(
    items: Iterable[In],
    work: Callable[[In], Out | None],
    write: Callable[[Out], None],
    *,
    length: int = QUEUE_LENGTH,
    finish: bool = False,
) -> None:
    """Read items in one thread, work on them in the caller's, write the results in a third.

    All in order.

    Args:
        items: advanced in the reading thread; a generator is closed there.
        work: what is done with each; None leaves nothing to write.
        write: what is done with each result.
        length: items that wait before the work, and before the writing, at most. One more is in the
            hands of each thread.
        finish: whether Ctrl-C still lets those be written that are labeled; without it they are
            dropped.
    Raises:
        KeyboardInterrupt: Ctrl-C; all threads have ended, but for a reader whose camera hangs.
        BaseException: the first error of any thread; the others have ended.
    """
    came: BoundedQueue[In] = BoundedQueue(length)
    done: BoundedQueue[Out] = BoundedQueue(length)

    def stop() -> None:
        came.cut()
        done.cut()

    reader = WorkerThread(lambda: feed(items, came), stop)
    writer = WorkerThread(lambda: drain(done, write), stop)
    reader.start()
    writer.start()
    try:
        for item in came:
            result = work(item)
            if result is not None and not done.put(result):
                break
        done.end()
    except BaseException as error:
        came.cut()
        if finish and isinstance(error, KeyboardInterrupt):
            done.end()
        else:
            done.cut()
        raise
    finally:
        writer.join()
        reader.join(STALLED_SECONDS)
    for helper in (reader, writer):
        if helper.error:
            raise helper.error


def feed(items: Iterable[In], channel: BoundedQueue[In]) -> None:
    """Put all items into a channel; each is read only when there is room for it."""
    try:
        iterator = iter(items)
        while channel.wait_for_room():
            try:
                item = next(iterator)
            except StopIteration:
                break
            channel.put(item)
    finally:
        channel.end()
        if isinstance(items, Generator):
            items.close()


def drain(channel: BoundedQueue[Out], write: Callable[[Out], None]) -> None:
    """Write all results of a channel."""
    for result in channel:
        write(result)
