"""A power cut: of what a process did to its files, the disk may have what was synced, and any part of the rest.

By POSIX a file's bytes are on the disk once the file was synced, its name once its folder was. Until then a rename or a
removal may be lost though a later one was not, and a file may be there by its name and empty, or full of zeros.
"""

from __future__ import annotations

import os
import random
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from befallen import Fault, concerns

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Change:
    """Names of one folder, each with the file it had before and has after; None: there was or is none."""

    names: tuple[tuple[str, Path | None, Path | None], ...]

    @property
    def folder(self) -> str:
        return os.path.dirname(self.names[0][0])  # noqa: PTH120 - as it was given


class PowerCut:
    """Cuts the power before the rename or removal numbered `at`, counted from 0, or when the work is done."""

    def __init__(self, root: Path, at: int | None, seed: int) -> None:
        """at: None to count only; seed: of what is lost."""
        self._root, self._at, self._count = root, at, 0
        self._chance = random.Random(f"{at} {seed}")
        self._inodes = root.with_name(f"inodes-{os.getpid()}")
        self._inodes.mkdir()
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in ("replace", "unlink", "fsync")}
        self._unsynced: list[_Change] = []
        self._synced: set[int] = set()
        self._published: list[Path] = []
        os.replace = os.rename = self._replace  # type: ignore[assignment]
        os.unlink = os.remove = self._unlink  # type: ignore[assignment]
        os.fsync = self._fsync

    def done(self) -> int:
        """The work is done, and the power may go only now. How many moments there were, this one too."""
        self._moment()
        return self._count

    def _replace(self, source: Any, target: Any, **more: Any) -> None:
        if not concerns(self._root, os.fspath(target)):
            self._real["replace"](source, target, **more)
            return
        self._moment()
        before, after = self._held(target), self._held(source)
        self._real["replace"](source, target, **more)
        assert after is not None
        self._published.append(after)
        self._unsynced.append(_Change(((os.fspath(target), before, after), (os.fspath(source), after, None))))

    def _unlink(self, path: Any, **more: Any) -> None:
        before = self._held(path) if concerns(self._root, os.fspath(path)) else None
        if before is not None:
            self._moment()
        self._real["unlink"](path, **more)
        if before is not None:
            self._unsynced.append(_Change(((os.fspath(path), before, None),)))

    def _fsync(self, descriptor: int) -> None:
        self._real["fsync"](descriptor)
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            folder = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
            self._unsynced = [change for change in self._unsynced if change.folder != folder]
        else:
            self._synced.add(about.st_ino)

    def _held(self, path: Any) -> Path | None:
        """The file at a path under another name, by which it stays."""
        if not os.path.lexists(path):
            return None
        place = self._inodes / str(len(list(self._inodes.iterdir())))
        os.link(path, place)
        return place

    def _moment(self) -> None:
        if self._count == self._at:
            self._cut()
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def _lost(self, items: Sequence[Item]) -> Iterator[tuple[Item, bool]]:
        """Which of some items is lost, an earlier one more likely: that a later one survives is what does harm."""
        for number, item in enumerate(items):
            yield item, self._chance.random() < 1 - (number + 1) / (len(items) + 1)

    def _cut(self) -> None:
        left: dict[str, Path | None] = {}
        for change, lost in self._lost(self._unsynced):
            for name, before, after in change.names:
                left.setdefault(name, before)
                if not lost:
                    left[name] = after
        zeros = self._chance.random() < 0.5
        for file, lost in self._lost([file for file in self._published if file.stat().st_ino not in self._synced]):
            if lost:
                size = file.stat().st_size
                os.truncate(file, 0)
                os.truncate(file, size if zeros else 0)
        for name, held in left.items():
            if os.path.lexists(name):
                self._real["unlink"](name)
            if held is not None:
                os.link(held, name)


def power_cut(at: int | None, seed: int) -> Fault:
    """A power cut at a moment; None: they are counted."""
    return Fault(PowerCut, (at, seed))
