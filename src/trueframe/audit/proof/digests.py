"""Digests of many files, each read once. Several threads do it at a time: hashing leaves Python's lock alone."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 1 << 20  # bytes: at 256 KiB two threads hash no faster than one
_AHEAD = 256  # files: the other threads go on while one reads a large archive
# Faster disks than this many threads can use are rare.
THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Content:
    """What a file's bytes are: size in bytes, digests in hexadecimal (empty: not asked for). error: why it's unread."""

    size: int = 0
    sha256: str = ""
    md5: str = ""
    error: OSError | None = None

    def has(self, claim: str) -> bool:
        """Whether what "sha256:…", "md5:…" or "size:…" says is true of it. Never of what can't be read."""
        return self.error is None and claim in (f"sha256:{self.sha256}", f"md5:{self.md5}", f"size:{self.size}")

    def __str__(self) -> str:
        """What was found, for a person."""
        if self.error:
            return self.error.strerror or str(self.error)
        named = ", ".join(f"{name}:{digest}" for name, digest in (("sha256", self.sha256), ("md5", self.md5)) if digest)
        return f"{named}, {self.size} bytes"


def read(place: Path, sha256: bool = True, md5: bool = True) -> Content:
    """The content of a file, by one pass over it. Memory stays flat."""
    wanted = (name for name, asked in (("sha256", sha256), ("md5", md5)) if asked)
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in wanted}
    size = 0
    try:
        about = place.stat()
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")  # a pipe would wait for ever
        buffer = memoryview(bytearray(min(_CHUNK, about.st_size) or 1))
        with place.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                size += count
                for digest in digests.values():
                    digest.update(buffer[:count])
    except OSError as error:
        return Content(error=error)
    found = {name: digest.hexdigest() for name, digest in digests.items()}
    return Content(size, found.get("sha256", ""), found.get("md5", ""))


def spread(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[tuple[Item, Result]]:
    """Each item and `function` of it, in order. Few items wait at a time, however many there are."""
    executor = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, executor.submit(function, item)))
            if len(waiting) >= _AHEAD:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()
    finally:
        executor.shutdown(cancel_futures=True)
