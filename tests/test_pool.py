"""Work shared out: by processes, item by item, and by threads, results ahead of whoever takes them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from trueframe import pool
from trueframe.errors import WorkerDiedError
from workspaces import workers_of


def after(item: tuple[float, Path | None]) -> tuple[float, int, str | None]:
    """Waits as long as the item says, and leaves a trace."""
    seconds, trace = item
    time.sleep(seconds)
    if trace is not None:
        trace.touch()
    return seconds, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def failing(item: int) -> int:
    if item == 3:
        raise ValueError("the third")
    return item


def test_results_come_in_the_order_of_the_items_from_processes_that_stay() -> None:
    items = [(seconds, None) for seconds in (0.3, 0.0, 0.1, 0.0, 0.0, 0.2, 0.0, 0.0)]
    found = list(pool.ordered(after, items, 2))
    assert [seconds for seconds, *_ in found] == [seconds for seconds, _ in items]
    assert len({process for _, process, _ in found} | {os.getpid()}) == 3
    assert {threads for *_, threads in found} == {"1"}
    assert {process for _, process, _ in pool.ordered(after, items[1:3], 1)} == {os.getpid()}


def test_a_long_item_does_not_keep_the_others_waiting_and_results_that_wait_are_few(tmp_path: Path) -> None:
    traces = [tmp_path / str(number) for number in range(40)]
    items = [(1.5, traces[0]), *((0.0, trace) for trace in traces[1:])]
    results = pool.ordered(after, items, 2)
    next(results)
    # While the first took its time the other worker went on, but no further than results may wait.
    assert 8 < sum(trace.exists() for trace in traces) <= 2 * 8 + 1
    assert len(list(results)) == 39


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_raised_where_its_result_would_be(workers: int) -> None:
    results = pool.ordered(failing, range(6), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def failing_at_once(item: tuple[int, Path]) -> None:
    number, folder = item
    if number == 0:
        raise ValueError("the first")
    (folder / str(number)).touch()
    time.sleep(1)


def test_what_is_not_begun_when_an_item_fails_is_never_begun(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the first"):
        list(pool.ordered(failing_at_once, [(number, tmp_path) for number in range(20)], 2))
    assert len(list(tmp_path.iterdir())) <= 2


class UnreadableError(Exception):
    """Can be pickled, and not be read again."""

    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}", number)


def failing_oddly(item: int) -> None:
    if item:
        raise UnreadableError(item)
    raise ValueError("the first")


def test_an_error_comes_with_its_traceback_from_the_worker_whatever_its_class() -> None:
    with pytest.raises(ValueError, match="the first") as told:
        list(pool.ordered(failing_oddly, [0, 0], 2))
    assert "in failing_oddly" in "".join(told.value.__notes__)
    with pytest.raises(RuntimeError, match=r"(?s)in failing_oddly.*number 7"):
        list(pool.ordered(failing_oddly, [7], 2))


def large(size: int) -> bytes:
    return bytes(size)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", [1 << 10, 1 << 22])
@pytest.mark.parametrize("after_s", [0.0, *(pytest.param(0.1 * n, marks=pytest.mark.long) for n in range(1, 4)), 0.4])
def test_a_worker_killed_at_any_moment_is_told_and_leaves_no_other(after_s: float, size: int) -> None:
    """Results of 4 MiB pass a pipe in pieces: most kills fall amid one."""
    me = psutil.Process()

    def kill() -> None:
        while not (workers := workers_of(me)):
            time.sleep(0.001)
        time.sleep(after_s)
        workers[-1].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(WorkerDiedError):
        for _ in pool.ordered(large, itertools.repeat(size), 2):
            pass
    killer.join()
    assert workers_of(me) == []


_ENDLESS = """
import itertools, test_pool
from trueframe import pool

if __name__ == "__main__":
    for _ in pool.ordered(test_pool.after, itertools.repeat((600.0, None)), 2):
        pass
"""


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "endless.py"
    program.write_text(_ENDLESS)
    taking = subprocess.Popen([sys.executable, program], env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)})
    while len(workers := workers_of(psutil.Process(taking.pid))) < 2:
        time.sleep(0.01)
    time.sleep(1)
    taking.kill()
    taking.wait()
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def counted(item: int) -> Iterator[tuple[int, int]]:
    for step in range(item):
        yield item, step
    if item == 3:
        raise ValueError("the third")


def test_threads_fill_what_is_taken_in_order() -> None:
    found = [list(of_item) for of_item in pool.streams(counted, [2, 0, 5, 1], 2)]
    assert found == [[(item, step) for step in range(item)] for item in (2, 0, 5, 1)]


def test_an_error_in_a_thread_comes_after_the_results_before_it() -> None:
    streams = pool.streams(counted, [1, 3, 2], 2)
    assert list(next(streams)) == [(1, 0)]
    broken = next(streams)
    assert [next(broken) for _ in range(3)] == [(3, 0), (3, 1), (3, 2)]
    with pytest.raises(ValueError, match="the third"):
        next(broken)


def test_threads_go_two_results_ahead_and_end_when_nobody_takes_any_more() -> None:
    made: list[int] = []

    def endless(item: int) -> Iterator[int]:
        while True:
            made.append(item)
            yield item

    before = threading.active_count()
    streams = pool.streams(endless, range(5), 3)
    first = next(streams)
    assert [next(first) for _ in range(4)] == [0] * 4
    time.sleep(0.5)
    assert made.count(0) <= 6
    assert max(made.count(item) for item in (1, 2)) <= 2
    streams.close()
    assert threading.active_count() <= before
