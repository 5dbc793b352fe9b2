"""Progress that a person can watch: a bar in a terminal, plain lines with the same facts in a log file or a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINE_EVERY_S = 10.0


class Progress:
    """Tells how far a job is, on stderr."""

    def __init__(self, title: str) -> None:
        """`title` stands before every line, for one: "crops train/part_00"."""
        self.title = title
        self._terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """One line of news."""
        print(f"{self.title}: {text}", file=sys.stderr, flush=True)

    @contextmanager
    def task(self, total: int, unit: str, what: str = "") -> Iterator[Callable[[int], None]]:
        """Count `total` things called `unit`; call the given function with how many more are done."""
        label = f"{self.title}{' ' + what if what else ''}"
        with self._bar(label, total, unit) if self._terminal else self._lines(label, total, unit) as advance:
            yield advance

    @contextmanager
    def _bar(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit + " {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        start, done = time.monotonic(), 0
        with RichProgress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total, rate="")

            def advance(count: int) -> None:
                nonlocal done
                done += count
                rate = done / max(time.monotonic() - start, 1e-9)
                bar.update(task, advance=count, rate=f"{rate:.1f}/s")

            yield advance

    @contextmanager
    def _lines(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        start = told = time.monotonic()
        done = 0

        def tell() -> None:
            rate = done / max(time.monotonic() - start, 1e-9)
            left = f", {(total - done) / rate:.0f} s left" if done and done < total else ""
            print(f"{label}: {done}/{total} {unit}, {rate:.1f}/s{left}", file=sys.stderr, flush=True)

        def advance(count: int) -> None:
            nonlocal told, done
            done += count
            if time.monotonic() - told >= _LINE_EVERY_S:
                told = time.monotonic()
                tell()

        yield advance
        tell()


class Quiet(Progress):
    """Progress for callers that want none: nothing is told."""

    def __init__(self) -> None:
        """There is nothing to call by a title."""
        super().__init__("")

    def say(self, text: str) -> None:
        """Tell nothing."""

    @contextmanager
    def task(self, total: int, unit: str, what: str = "") -> Iterator[Callable[[int], None]]:
        """Count nothing."""
        yield lambda count: None
