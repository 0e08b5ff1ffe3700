import _thread
import threading
import time
from collections.abc import Iterator

import pytest

from galago.runtime.pipeline import run_pipeline


def running() -> int:
    return threading.active_count()


def test_results_are_written_in_order():
    written: list[int] = []
    run_pipeline(range(100), lambda number: number * number, written.append)
    assert written == [number * number for number in range(100)]


def test_nothing_is_written_where_the_work_gives_none():
    written: list[int] = []
    run_pipeline(range(6), lambda number: number if number % 2 else None, written.append)
    assert written == [1, 3, 5]


def test_no_items_end_at_once():
    run_pipeline([], lambda item: item, lambda item: None)


def test_the_three_sides_have_threads_of_their_own_and_the_work_has_the_callers():
    threads: dict[str, threading.Thread] = {}

    def items() -> Iterator[int]:
        threads["read"] = threading.current_thread()
        yield 0

    def work(item: int) -> int:
        threads["work"] = threading.current_thread()
        return item

    run_pipeline(items(), work, lambda item: threads.update(write=threading.current_thread()))
    assert threads["work"] is threading.current_thread()
    assert len(set(threads.values())) == 3


def test_a_slow_writer_holds_the_reader_back():
    begun, written, ahead = 0, 0, []

    def items() -> Iterator[int]:
        nonlocal begun
        for number in range(40):
            begun += 1
            ahead.append(begun - written)
            yield number

    def write(item: int) -> None:
        nonlocal written
        time.sleep(0.005)
        written += 1

    run_pipeline(items(), lambda item: item, write, length=2)
    assert written == 40
    # 2 wait before the work and 2 after it; each of the three threads has one in its hands
    assert 4 <= max(ahead) <= 2 + 2 + 3


@pytest.mark.parametrize("side", ["read", "work", "write"])
def test_an_error_on_any_side_comes_out_and_ends_all_threads(side: str):
    before = running()

    def fail_at_5(item: int, where: str) -> int:
        if item == 5 and side == where:
            raise ZeroDivisionError(side)
        return item

    items = (fail_at_5(number, "read") for number in range(10_000))
    with pytest.raises(ZeroDivisionError, match=side):
        run_pipeline(
            items,
            lambda item: fail_at_5(item, "work"),
            lambda item: fail_at_5(item, "write") and None,
        )
    assert running() == before


def test_a_generator_is_closed_in_the_thread_that_reads_it():
    closed: list[int] = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(threading.get_ident())

    def work(item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_pipeline(items(), work, lambda item: None)
    assert len(closed) == 1
    assert closed[0] != threading.get_ident()


@pytest.mark.parametrize("finish", [False, True])
def test_an_interrupt_ends_all_threads_and_finishes_only_where_asked(finish: bool):
    before, written = running(), []
    gate = threading.Event()

    def work(item: int) -> int:
        if item == 3:
            threading.Timer(0.05, gate.set).start()
            raise KeyboardInterrupt
        return item

    def write(item: int) -> None:
        gate.wait(10)
        written.append(item)

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(range(1000), work, write, finish=finish)
    assert written == [0, 1, 2] if finish else len(written) <= 1
    while running() > before:  # the timer
        time.sleep(0.01)


def test_an_interrupt_is_heard_while_the_reader_hangs():
    hang = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        threading.Timer(0.1, _thread.interrupt_main).start()
        hang.wait(60)

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(items(), lambda item: item, lambda item: None)
    assert not hang.is_set()
    hang.set()
