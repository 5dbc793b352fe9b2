"""Loaded by every Python process whose path this folder is on: notes its start and each use of the network beyond the
machine.

A closed network alone would not tell of a program that tries, fails and goes on.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_LOG = os.environ["TRUEFRAME_NETWORK_LOG"]
_WATCHED = {
    "socket.bind": 1,
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
}
_HERE = ("127.0.0.1", "::1", "localhost", None)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _WATCHED:
        return
    place = arguments[_WATCHED[event]]
    host = place[0] if isinstance(place, tuple) else place
    if _WATCHED[event] and not isinstance(place, tuple):
        return  # a socket of Unix's, which is a file
    if host not in _HERE:
        _write(f"{event} {place} by {sys.orig_argv}")


def _write(line: str) -> None:
    with open(_LOG, "a", encoding="utf-8") as file:  # noqa: PTH123 - pathlib here would slow every process's start
        file.write(f"{line}\n")


_write(f"start {sys.orig_argv}")
sys.addaudithook(_note)
