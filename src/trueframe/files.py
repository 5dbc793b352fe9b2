"""Files that are whole or not there: hashing, canonical JSON, atomic writes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

# Why a single file may not be read: its permissions, or a disk that can't (any more).
UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits. Memory stays flat whatever the file's size."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Digests:
    """SHA-256 of files that change no more: each is read once, whoever asks."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._known: dict[Path, str] = {}

    def __call__(self, path: Path) -> str:
        """The file's, as 64 hexadecimal digits."""
        if path not in self._known:
            self._known[path] = sha256_file(path)
        return self._known[path]


def sha256_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, two spaces, UTF-8 as it is, a newline at the end. NaN is refused."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def partial(path: Path) -> Path:
    """Where the bytes of `path` are written before they are whole: beside it, so that a rename can't cross disks.

    The name is the same each time, so that a killed writer leaves at most one such file, which the next one replaces.
    """
    return path.with_name(f".{path.name}.partial")


def publish(path: Path) -> None:
    """Put the finished `partial(path)` in the place of `path`, in one step that survives a power cut."""
    temporary = partial(path)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial(path).write_text(text, encoding="utf-8")
    publish(path)
