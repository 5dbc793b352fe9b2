"""Takes what a generator yields from a thread of its own, and gives up on one that computes without end.

Decoders are C: once one is caught in a loop, no signal and no exception reaches it, and the job would hang with it. A
process for each would cost more than decoding does. So the decoder works in a thread, only while somebody waits for it,
and the one who waits looks at the thread's own clock of computing. That clock stands still while other jobs have the
cores or a disk is slow, so what is given up does not depend on how busy the machine is.

A thread can't be killed. One that is given up is left behind at the lowest priority, and ends with the process.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Alive = Callable[[], None]

# Computing from one sign of life to the next. The longest honest step seen took 2 s: opening a video of noise in 8K.
LIMIT_S = 120.0
# Neither computing nor a sign of life: a disk that does not answer. That is nothing a video is to blame for.
SILENCE_S = 600.0
_LOOK_EVERY_S = 1.0
_BEGIN_S = 10.0  # looks until a thread that did not begin is given up


class StuckError(Exception):
    """It computed for LIMIT_S without a sign of life."""


class SilentError(Exception):
    """It neither computed nor gave a sign of life for SILENCE_S."""


class _NotBegunError(MemoryError):
    """The thread did not begin: memory for it lacked."""


def no_sign() -> None:
    """A sign of life for nobody: for work that isn't watched."""


def watched(make: Callable[[Alive], Generator[Item, None, None]]) -> Iterator[Item]:
    """What `make` yields, in order, each made when it is asked for and not before.

    make: gets a function to call at every step that ends by itself, such as a packet; each yield counts as one too. Its
    exceptions are raised here. Raises StuckError and SilentError.
    """
    work = _Work(make)
    lost = False
    try:
        while (found := work.next()) is not None:
            yield found[0]
    except (StuckError, SilentError, _NotBegunError, KeyboardInterrupt):  # Ctrl-C: nobody waits for a loop
        lost = True
        work.give_up()
        raise
    finally:
        work.asked.put(False)
        if not lost:
            work.wait()  # so that its files are closed


class _Work(Generic[Item]):
    """A generator and its thread, which does nothing until it is asked, item by item."""

    def __init__(self, make: Callable[[Alive], Generator[Item, None, None]]) -> None:
        self.asked: SimpleQueue[bool] = SimpleQueue()
        self._given: SimpleQueue[tuple[Item] | Exception | None] = SimpleQueue()
        self._clock: int | None = None
        self._signs = 0
        self._sign_s = 0.0
        self._number: int | None = None  # the system's, of the thread
        self._working = _thread.allocate_lock()
        self._working.acquire()
        # Not threading's Thread, which waits for ever to begin where memory for that lacks.
        _thread.start_new_thread(self._run, (make,))

    def next(self) -> tuple[Item] | None:
        """The next item; None after the last one."""
        self.asked.put(True)
        seen, quiet_s = (-1, 0.0), 0.0
        while True:
            try:
                found = self._given.get(timeout=_LOOK_EVERY_S)
            except Empty:
                if not self._working.locked() and self._given.empty():
                    raise MemoryError from None  # not even its error could be handed over
                signs, computed_s = now = self._signs, self._computed_s()
                if computed_s - self._sign_s > LIMIT_S and signs == self._signs:
                    raise StuckError from None
                # Counted by looks, not by a clock: a process that was stopped meanwhile has waited for nothing.
                quiet_s = quiet_s + _LOOK_EVERY_S if now == seen else 0.0
                if quiet_s > SILENCE_S:
                    raise SilentError from None
                if self._number is None and quiet_s > _BEGIN_S:
                    raise _NotBegunError("no memory for a thread") from None
                seen = now
                continue
            if isinstance(found, Exception):
                raise found
            return found

    def give_up(self) -> None:
        """Leave the thread its loop, for when nobody else needs a core."""
        if self._number is not None:
            with contextlib.suppress(OSError):  # where that is not allowed it keeps its priority
                os.sched_setscheduler(self._number, os.SCHED_IDLE, os.sched_param(0))

    def wait(self) -> None:
        """Until the thread has ended."""
        with self._working:
            return

    def _computed_s(self) -> float:
        if self._clock is None:
            return self._sign_s
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # it ended just now, and took its clock with it; what it gave is there to be taken
            return self._sign_s

    def _sign(self) -> None:
        self._sign_s = time.thread_time()
        self._signs += 1

    def _run(self, make: Callable[[Alive], Generator[Item, None, None]]) -> None:
        try:
            self._number = threading.get_native_id()
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
            self._work(make(self._sign))
        finally:
            self._working.release()

    def _work(self, items: Generator[Item, None, None]) -> None:
        try:
            while self.asked.get():
                self._sign()
                found = next(items, None)
                self._given.put(None if found is None else (found,))
        except Exception as error:  # noqa: BLE001 - raised where the items are taken
            self._given.put(error)
        finally:
            items.close()
