"""Which commits hold the code and the lock that a record names by their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trueframe import records
from trueframe.audit import git

_AT_ONCE = 200  # commits: most questions end with the first ones


@dataclass(frozen=True)
class Held:
    """The newest commits in a row that hold every file with its digest, of those that changed one of the files.

    newest: None where no commit holds all; first: the one that brought them; described: of `first`, its day and
    subject; absent: files whose digest no commit has, empty where each is in one but never all together.
    """

    newest: str | None
    first: str | None
    described: tuple[str, str] | None
    absent: tuple[str, ...]


class History:
    """A repository's history, asked for files by digest: a module's as records have it, any other file's SHA-256."""

    def __init__(self, root: Path) -> None:
        """`root`: the workspace; a folder that is no repository has no history."""
        self._root = root
        self._digests: dict[tuple[str, bool], str] = {}

    def holding(self, files: Mapping[str, str]) -> Held:
        """Where all of the files, path to "sha256:…", are as their digests say: in the history of HEAD, else in any."""
        seen: set[str] = set()
        for everywhere in (False, True):
            found = self._search(git.changes(self._root, files, everywhere), files, seen)
            if found:
                newest, first = found
                return Held(newest, first, git.described(self._root, [first]).get(first), ())
        return Held(None, None, None, tuple(path for path in files if path not in seen))

    def _search(self, commits: list[str], files: Mapping[str, str], seen: set[str]) -> tuple[str, str] | None:
        """The newest and the oldest commit in a row that hold all files; notes the files that one holds in `seen`."""
        newest = first = None
        for start in range(0, len(commits), _AT_ONCE):
            for commit, digests in self._at(commits[start : start + _AT_ONCE], list(files)):
                same = {path for path in files if digests[path] == files[path]}
                seen |= same
                if len(same) == len(files):
                    newest, first = newest or commit, commit
                elif newest and first:
                    return newest, first
        return (newest, first) if newest and first else None

    def _at(self, commits: list[str], paths: list[str]) -> Iterable[tuple[str, dict[str, str | None]]]:
        """(commit, path to digest)."""
        names = [f"{commit}:./{path}" for commit in commits for path in paths]
        found = list(git.blobs(self._root, names))
        wanted = {
            (blob, path.endswith(".py")): None
            for blob, path in zip(found, paths * len(commits), strict=True)
            if blob and (blob, path.endswith(".py")) not in self._digests
        }
        for key, data in zip(wanted, git.contents(self._root, [blob for blob, _ in wanted]), strict=True):
            self._digests[key] = _digest(data, key[1])
        for number, commit in enumerate(commits):
            blobs = found[number * len(paths) : (number + 1) * len(paths)]
            yield (
                commit,
                {
                    path: self._digests[blob, path.endswith(".py")] if blob else None
                    for path, blob in zip(paths, blobs, strict=True)
                },
            )


def _digest(data: bytes, module: bool) -> str:
    if module:
        try:
            return records.source_digest(data.decode())
        except (SyntaxError, UnicodeDecodeError):
            return "unreadable"
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
