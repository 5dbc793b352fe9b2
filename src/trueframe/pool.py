"""A pool that works through a part's videos: results in the order of the items, whatever the number of workers.

Python's ProcessPoolExecutor and loky's share one pipe among their workers. Both wait for ever when a worker is killed
while it writes to that pipe, the former also when one dies while another begins, and a process that is killed leaves
its workers behind. Here each worker has a pipe of its own, whose end tells either side that the other is gone.
"""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any, Generic, TypeVar

from trueframe.errors import WorkerDiedError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Libraries that would start a thread per core in each process read these once, when they are imported.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_AHEAD = 2  # items per worker that are begun or wait to be: none is idle while results are collected
_DONE = 8  # results per worker that may wait for an earlier one, which takes longer


def ordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of each item, in order. With one worker in this process, else in `workers` processes.

    Results wait for earlier ones, but only so many that memory stays flat. The function must be picklable. An exception
    in it is raised here. No worker outlives whoever takes the results, however that ends. Raises WorkerDiedError.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    team: list[_Worker[Item, Result]] = []
    idle: queue.SimpleQueue[_Worker[Item, Result]] = queue.SimpleQueue()

    def work(item: Item) -> Result:
        worker = idle.get()
        try:
            return worker.work(item)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(workers) as threads:
        try:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                if len(team) < workers:
                    team.append(_Worker(function))
                    idle.put(team[-1])
                waiting.append(threads.submit(work, item))
                while len(begun := [future for future in waiting if not future.done()]) >= _AHEAD * workers or (
                    len(waiting) >= _DONE * workers
                ):
                    if waiting[0].done():
                        yield waiting.popleft().result()
                    else:
                        wait(begun if len(waiting) < _DONE * workers else [waiting[0]], return_when=FIRST_COMPLETED)
            while waiting:
                yield waiting.popleft().result()
        finally:  # whoever takes has gone, or an item failed: what is not done is not needed
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in team:
                worker.end()


class _Worker(Generic[Item, Result]):
    """A process that works on one item after another."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        # spawn: a forked copy of a process in which torch or OpenCV have started threads can hang.
        context: SpawnContext = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        there.close()
        with contextlib.suppress(OSError):  # it is gone already: the first item tells
            self._pipe.send(function)

    def work(self, item: Item) -> Result:
        """Have it worked on."""
        try:
            self._pipe.send(item)
            answer: tuple[Result, Exception | None] = self._pipe.recv()
        except (EOFError, OSError) as gone:
            raise WorkerDiedError("a worker process died") from gone
        result, error = answer
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()


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


def _serve(pipe: Connection) -> None:
    """A worker process: gets the function, then items."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; whoever gave the work ends this one
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    _thread.start_new_thread(end_with_the_parent, ())
    function = pipe.recv()
    with contextlib.suppress(EOFError, OSError):  # nobody there
        while True:
            pipe.send_bytes(_answer(function, pipe.recv_bytes()))


def end_with_the_parent() -> None:
    """For a thread of a new process: ends it, in the midst of work too, when the process that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(function: Callable[[Any], Any], item: bytes) -> bytes:
    """(result, None) or (None, exception), pickled; the exception's traceback goes with it as a note."""
    try:
        return pickle.dumps((function(pickle.loads(item)), None))  # noqa: S301 - from the process that started this one
    except Exception as error:  # noqa: BLE001 - raised where the results are taken
        told = "".join(traceback.format_exception(error))
        error.add_note(f"In a worker process:\n{told}")
        try:
            answer = pickle.dumps((None, error))
            pickle.loads(answer)  # noqa: S301 - some exceptions can be written and not read
        except Exception:  # noqa: BLE001 - whatever a foreign class does
            return pickle.dumps((None, RuntimeError(told)))
        return answer
