"""What a verification can find, and its sum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is not as it should be. The last ones, from UNTRACKED on, are told, and nothing is wrong with them."""

    CHANGED = "changed"  # the bytes are not those that its record has
    MISSING = "missing"
    UNREADABLE = "unreadable"  # the disk or the permissions refuse, or it is no file of its kind
    EDITED = "record edited"  # not the record that DVC holds
    LOCK = "lock disagrees"  # the file is as its record says, and not as DVC's lock says
    UNLISTED = "not comparable"  # DVC's cache lacks the list of a folder's files
    OBJECT = "cache object corrupt"
    LINK = "broken link"  # what was read is not what is there now
    UNTRACKED = "not in DVC"
    UNCOMMITTED = "not committed"
    ABSENT = "not here"
    UNCLAIMED = "unclaimed"  # no record says what it is

    @property
    def wrong(self) -> bool:
        """Whether the verification fails by it."""
        return self not in _TOLD


_TOLD = (Kind.UNTRACKED, Kind.UNCOMMITTED, Kind.ABSENT, Kind.UNCLAIMED)
_ORDER = {kind: number for number, kind in enumerate(Kind)}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. path: relative to the workspace; advice: what to do about it."""

    path: str
    kind: Kind
    expected: str
    found: str
    advice: str


@dataclass
class Checked:
    """How much was compared. files: artifacts and raw files; size: bytes read, of objects too; links: inputs read."""

    records: int = 0
    links: int = 0
    files: int = 0
    objects: int = 0
    size: int = 0


@dataclass(frozen=True)
class Report:
    """A verification. findings: what is wrong first, then by kind and path."""

    checked: Checked
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> bool:
        """Whether anything is."""
        return any(finding.kind.wrong for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        findings = [asdict(finding) | {"wrong": finding.kind.wrong} for finding in self.findings]
        return {"checked": asdict(self.checked), "wrong": self.wrong, "findings": findings}


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, in the order of a report."""
    return tuple(sorted(set(findings), key=lambda one: (_ORDER[one.kind], one.path, one.expected, one.found)))
