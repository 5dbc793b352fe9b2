"""The packages that differ between two locks which records name by their digests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from trueframe.audit import git
from trueframe.audit.code import History
from trueframe.audit.comparison.tally import Change, Tally
from trueframe.audit.snapshot import Commit, Folder
from trueframe.files import sha256_text
from trueframe.records import LOCK

# A pin as uv and pip-tools write it; what follows the semicolon says on which machines it counts.
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]*))?")


def pins(lock: str) -> dict[str, str]:
    """Package to version, of a lock's lines `name==version`; a marker stays with the name: "av ; python_version < '3'".

    A name is as the index has it: lower case, a hyphen for runs of `-`, `_` and `.` (PEP 503).
    """
    found = {}
    for match in filter(None, map(_PIN.match, lock.splitlines())):
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        marker = (match["marker"] or "").strip()
        found[f"{name} ; {marker}" if marker else name] = match["version"]
    return found


class Locks:
    """The texts of locks, by digest."""

    def __init__(self, a: Folder | Commit, b: Folder | Commit) -> None:
        """`a`, `b`: where to look, the files first, then the histories."""
        self._places = a, b
        self._texts: dict[str, str | None] = {}

    def text(self, digest: str) -> str | None:
        """The lock with this "sha256:…"; None where it is neither a file here nor in git's history."""
        if digest not in self._texts:
            self._texts[digest] = self._in_files(digest) or self._in_history(digest)
        return self._texts[digest]

    def _in_files(self, digest: str) -> str | None:
        texts = (place.text(LOCK) for place in self._places)
        return next((text for text in texts if text and f"sha256:{sha256_text(text)}" == digest), None)

    def _in_history(self, digest: str) -> str | None:
        for root in dict.fromkeys(place.root for place in self._places):
            commit = History(root).holding({str(LOCK): digest}).newest
            if commit:
                return git.show(root, commit, Path(LOCK))
        return None


def add(tally: Tally, locks: Iterable[Change], places: Locks) -> list[str]:
    """Count as "package" what differs by each change of a lock's digest; a sentence per lock whose text is nowhere.

    A lock by which no package can be said to differ is counted as "environment".
    """
    unknown: dict[str, None] = {}
    for lock in locks:
        texts = {digest: places.text(digest) for digest in (lock.a, lock.b) if digest}
        unknown |= {f"{LOCK} {digest}: its text is in no commit here": None for digest in texts if not texts[digest]}
        a, b = (pins(texts.get(digest) or "") for digest in (lock.a, lock.b))
        for unit in lock.units:
            if all(texts.values()) and a != b:
                tally.compare("package", a, b, unit)
            else:
                tally.add("environment", str(LOCK), lock.kind, lock.a, lock.b, unit)
    return list(unknown)
