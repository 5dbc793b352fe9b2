"""The commits that lie between two digests of a module."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trueframe import records
from trueframe.audit import git
from trueframe.audit.code import History
from trueframe.audit.comparison.tally import Change, Kind
from trueframe.audit.snapshot import Commit, Folder


@dataclass(frozen=True)
class Edit:
    """A commit that touched a module. undone: it lies between B and A, not between A and B: A is the younger."""

    sha: str
    day: str
    subject: str
    undone: bool


@dataclass(frozen=True)
class Module:
    """A module whose digest differs. edits: the commits between, the oldest first; note: why there are none.

    name: its path; a, b: its digests; units: "<stage> <unit>".
    """

    name: str
    kind: Kind
    a: str | None
    b: str | None
    units: tuple[str, ...]
    edits: tuple[Edit, ...]
    note: str


class Edits:
    """The histories of one or two repositories."""

    def __init__(self, a: Folder | Commit, b: Folder | Commit) -> None:
        """`a`, `b`: where the modules were as their digests say, or came from."""
        self._commits = [place.sha if isinstance(place, Commit) else git.head(place.root) for place in (a, b)]
        self._places = a, b
        self._histories = {root: History(root) for root in dict.fromkeys((b.root, a.root))}

    def modules(self, changes: Iterable[Change]) -> tuple[Module, ...]:
        """Modules that differ, with the commits that made the difference."""
        return tuple(self._module(change) for change in changes)

    def _module(self, change: Change) -> Module:
        edits: tuple[Edit, ...] = ()
        note = ""
        if change.kind == "changed":
            held = {root: self._anchors(root, change) for root in self._histories}
            both = next(((root, a, b) for root, (a, b) in held.items() if a and b), None)
            if both:
                edits = _between(*both, change.name)
            else:
                missing = [side for side in (0, 1) if not any(anchors[side] for anchors in held.values())]
                note = "; ".join(self._lost(side, change) for side in missing) or "no repository here has both"
        return Module(change.name, change.kind, change.a, change.b, change.units, edits, note)

    def _anchors(self, root: Path, change: Change) -> tuple[str | None, str | None]:
        """A commit of a repository for each side where the module has that side's digest."""
        a, b = (self._anchor(root, side, change.name, digest) for side, digest in enumerate((change.a, change.b)))
        return a, b

    def _anchor(self, root: Path, side: int, path: str, digest: str) -> str | None:
        """The side's own commit if the module has its digest there, else the newest that has it."""
        own = self._commits[side]
        if own and digest_of(git.show(root, own, Path(path))) == digest:
            return own
        return self._histories[root].holding({path: digest}).newest

    def _lost(self, side: int, change: Change) -> str:
        place, digest = self._places[side], (change.a, change.b)[side]
        here = isinstance(place, Folder) and digest_of(place.text(Path(change.name))) == digest
        return f"{'AB'[side]}'s is {'not committed' if here else 'in no commit here'}"


def _between(root: Path, a: str, b: str, path: str) -> tuple[Edit, ...]:
    forth = git.between(root, a, b, path)
    shas = forth or git.between(root, b, a, path)
    told = git.described(root, shas)
    return tuple(Edit(sha, *told[sha], undone=not forth) for sha in reversed(shas))


def digest_of(text: str | None) -> str:
    """A module's digest as records have it; of a text that is no Python, a word."""
    try:
        return "missing" if text is None else records.source_digest(text)
    except SyntaxError:
        return "unreadable"
