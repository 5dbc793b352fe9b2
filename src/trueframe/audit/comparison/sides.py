"""What the two names of a comparison mean: a workspace or a commit as a whole, or a unit of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trueframe.audit import subject
from trueframe.audit.graph import Graph
from trueframe.audit.objects import Objects
from trueframe.audit.snapshot import Commit, Folder, Node
from trueframe.errors import UserError
from trueframe.workspace import PARAMS


@dataclass(frozen=True)
class Side:
    """One of two things to compare. node: a unit, None for the whole."""

    asked: str
    snapshot: Folder | Commit
    node: Node | None


def both(root: Path, a: str, b: str) -> tuple[Side, Side]:
    """What `a` and `b` mean in the workspace at `root`. Tried in this order:

    1. a folder with a params.yaml: that workspace as it stands, `.` for this one;
    2. what a record of this workspace knows (subject.find): `models/111`, `111`, `reports/submission.csv`, a digest;
    3. whatever git takes for a commit: `HEAD~1`, a tag, a branch;
    4. `<1 or 3>:<2>`, as `HEAD~1:models/111`.

    Raises UserError, with what was tried, where nothing fits.
    """
    places = _Places(root)
    return places.side(a), places.side(b)


class _Places:
    """Workspaces and commits, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders = {root.resolve(): Folder(root)}
        self._commits: dict[str, Commit] = {}
        self._objects = Objects(root)

    def side(self, asked: str) -> Side:
        here = self._folder(".")
        assert here is not None
        if whole := self._folder(asked):
            return Side(asked, whole, None)
        if node := _unit(here, asked):
            return Side(asked, here, node)
        if commit := self._commit(asked):
            return Side(asked, commit, None)
        for place, name in _halves(asked):
            snapshot = self._folder(place) or self._commit(place)
            node = _unit(snapshot, name) if snapshot else None
            if snapshot and node:
                return Side(asked, snapshot, node)
            if snapshot:
                raise UserError(
                    f"{asked}: no record in {snapshot.name} knows {name}; expected an artifact of it such as "
                    "models/<seed> or reports/submission.csv"
                )
        raise UserError(
            f"{asked}: expected a folder with a {PARAMS}, or a model or another artifact that a record here knows "
            "(models/<seed>, reports/submission.csv), or a commit that git knows (HEAD~1, a tag), "
            "or a folder or a commit with an artifact of it (HEAD~1:models/<seed>); it is none of these"
        )

    def _folder(self, asked: str) -> Folder | None:
        path = self._root / asked
        try:
            if not asked or not (path / PARAMS).is_file():
                return None
        except OSError:  # a name that is too long for any folder
            return None
        return self._folders.setdefault(path.resolve(), Folder(path, f"the workspace {asked}"))

    def _commit(self, asked: str) -> Commit | None:
        try:
            found = Commit(self._root, asked, self._objects)
        except UserError:
            return None
        return self._commits.setdefault(found.sha, found)


def _halves(asked: str) -> list[tuple[str, str]]:
    return [(asked[:at], asked[at + 1 :]) for at, sign in enumerate(asked) if sign == ":"]


def _unit(snapshot: Folder | Commit, asked: str) -> Node | None:
    """The unit with a record that a name means; None where it means none."""
    graph = Graph(snapshot.records)
    try:
        node = subject.find(snapshot.root, graph, asked).node
    except UserError:
        return None
    return node if node in graph.records else None
