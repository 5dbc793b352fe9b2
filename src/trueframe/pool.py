"""A pool that works through a part's videos: results in the order of the items, whatever the number of workers."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Libraries that would start a thread per core in each process read these once, when they are imported.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_AHEAD = 2  # items per worker that are begun or wait to be: none is idle while results are collected
_DONE = 8  # results per worker that may wait for an earlier one, which takes longer


def ordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of each item, in order. With one worker in this process, else in `workers` processes.

    Results wait for earlier ones, but only so many that memory stays flat. The function must be picklable. An exception
    in it is raised here.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    # spawn: a forked copy of a process in which torch or OpenCV have started threads can hang.
    context = multiprocessing.get_context("spawn")
    # The executor can't cancel what it has handed over to its processes already, begun or not. No Event: a process that
    # is killed while it asks would keep its lock.
    stop = context.RawValue(ctypes.c_bool, False)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(stop,)) as executor:
        try:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                waiting.append(executor.submit(_unless_stopped, function, item))
                while len(begun := [future for future in waiting if not future.done()]) >= _AHEAD * workers or (
                    len(waiting) >= _DONE * workers
                ):
                    if waiting[0].done():
                        yield waiting.popleft().result()
                    else:
                        wait(begun if len(waiting) < _DONE * workers else [waiting[0]], return_when=FIRST_COMPLETED)
            while waiting:
                yield waiting.popleft().result()
        finally:
            stop.value = True  # whoever takes has gone, or an item failed: what is not begun is not needed


def streams(
    function: Callable[[Item], Iterator[Result]], items: Iterable[Item], workers: int
) -> Iterator[Iterator[Result]]:
    """Per item, in order, what `function` yields, made by `workers` threads ahead of whoever takes it.

    A thread goes at most two results ahead. For work that lets other threads run, as decoding does. An exception in the
    function is raised after the results before it.
    """
    stop = threading.Event()

    def fill(item: Item, shelf: queue.Queue[tuple[Result] | None]) -> None:
        try:
            for result in function(item):
                _put(shelf, (result,), stop)
                if stop.is_set():
                    return
        finally:
            _put(shelf, None, stop)

    def taken(shelf: queue.Queue[tuple[Result] | None], filled: Future[None]) -> Iterator[Result]:
        while (found := shelf.get()) is not None:
            yield found[0]
        filled.result()

    with ThreadPoolExecutor(workers) as executor:
        try:
            begun: deque[Iterator[Result]] = deque()
            for item in items:
                shelf: queue.Queue[tuple[Result] | None] = queue.Queue(maxsize=1)
                begun.append(taken(shelf, executor.submit(fill, item, shelf)))
                if len(begun) > workers:
                    yield begun.popleft()
            yield from begun
        finally:
            stop.set()  # whoever takes has gone: let the threads end


def _put(shelf: queue.Queue[tuple[Result] | None], found: tuple[Result] | None, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            shelf.put(found, timeout=0.2)
        except queue.Full:
            continue
        return


class _Flag(Protocol):
    value: bool


_stop: _Flag | None = None  # in a worker process: set once no more items are to be begun


def _begin(stop: _Flag) -> None:
    global _stop
    _stop = stop
    for name in _ONE_THREAD:
        os.environ[name] = "1"


def _unless_stopped(function: Callable[[Item], Result], item: Item) -> Result:
    if _stop is not None and _stop.value:
        raise CancelledError
    return function(item)
