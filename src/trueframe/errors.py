"""Errors that a user can cause."""

from __future__ import annotations


class UserError(Exception):
    """What a user can cause and mend: the message names the file, the value, what was expected and what to do.

    The command line prints the message alone and exits with status 1; every other exception is a bug and keeps its
    traceback.
    """


class WorkerDiedError(RuntimeError):
    """A process that worked for this one ended by itself: killed, as when memory runs out, or crashed."""
