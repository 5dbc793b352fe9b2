"""Whether a server answers, within a short time."""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

from trueframe.addresses import without_passwords

PATIENCE_S = 3.0
# Python's own words may have a piece of a password that was not written as addresses want it.
NO_ADDRESS = "no address that can be read; an @ / : ? or # in a password is written %40 %2F %3A %3F %23"
_LINE = 200  # letters of an error that are told


def http_server(url: str) -> str | None:
    """What keeps us from an HTTP server; None where it answers, if only that it wants a password."""
    return _within(lambda: _get(url))


def port(host: str, number: int) -> str | None:
    """What keeps us from a server's port; None where somebody listens."""
    return _within(lambda: _connect(host, number))


def line(text: str) -> str:
    """An error's text as it is told."""
    return without_passwords(text)[:_LINE]


def _get(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        asked = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        with urllib.request.urlopen(asked, timeout=PATIENCE_S):  # noqa: S310 - the callers look at the scheme
            return None
    except urllib.error.HTTPError as error:
        return f"answers {error.code} {error.reason}" if error.code >= 500 else None
    except urllib.error.URLError as error:
        return str(error.reason)
    except (http.client.InvalidURL, ValueError):
        return NO_ADDRESS
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


def _connect(host: str, number: int) -> str | None:
    try:
        socket.create_connection((host, number), timeout=PATIENCE_S).close()
    except OSError as error:
        return str(error)
    return None


def _within(ask: Callable[[], str | None]) -> str | None:
    """The answer, or that there was none in time: neither a look-up of a name nor a slow answer ends by itself."""
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(ask()), daemon=True).start()
    try:
        told = answers.get(timeout=PATIENCE_S + 0.5)
    except queue.Empty:
        return f"no answer within {PATIENCE_S:.0f} s"
    return None if told is None else line(told)
