"""What an examination finds."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Literal

from trueframe.errors import UserError

State = Literal["ok", "warn", "bad", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    state: "bad" where something must be done, "warn" where something may, "skipped" where it was not looked at;
    advice: what to do; empty where there is nothing to do. paths: the files in question, of which detail has the first.
    """

    what: str
    state: State
    detail: str
    advice: str = ""
    paths: tuple[str, ...] = ()


class UnknownError(Exception):
    """A check has nothing to go by, because of what another check tells."""


def trouble(what: str, error: UserError | OSError) -> Finding:
    """The finding that an error is. A UserError's message ends in what to do, behind its last semicolon."""
    if isinstance(error, OSError):
        absent = isinstance(error, FileNotFoundError)
        advice = "`git checkout` or `dvc checkout` brings it back" if absent else "give this user access to it"
        advice = "see whether its disk is sound" if error.errno == errno.EIO else advice
        return Finding(what, "bad", f"{error.filename or what}: {error.strerror or error}", advice)
    detail, _, advice = str(error).rpartition("; ")
    return Finding(what, "bad", detail or advice, advice if detail else "mend that, then ask again")
