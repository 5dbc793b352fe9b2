"""A pool that works through a part's videos: results in the order of the items, whatever the number of workers."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of each item, in order. With one worker in this process, else in `workers` processes.

    At most two items per worker wait at a time, so that memory stays flat. The function must be picklable. An exception
    in it is raised here.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    # spawn: a forked copy of a process in which torch or OpenCV have started threads can hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
