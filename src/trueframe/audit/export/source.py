"""What the exporters read of a workspace, and what must hold before anything of it is told to outsiders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from trueframe.audit import git, subject
from trueframe.audit.code import Held
from trueframe.audit.snapshot import Node
from trueframe.audit.trail import Auditor
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import sha256_file
from trueframe.records import LOCK, Output, Record
from trueframe.workspace import Workspace

# Packages of the extra `exports`, as they are imported.
_EXTRA = {"in_toto_attestation", "mlcroissant", "prov", "rocrate", "securesystemslib"}


def scalar(value: Any) -> bool | float | int | str:
    """A parameter's value where formats have no lists and no null: as JSON."""
    return value if isinstance(value, (bool, float, int, str)) else json.dumps(value, sort_keys=True)


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Turn the absence of the extra `exports` into a UserError. `what`: the export that needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise UserError(
            f"trueframe export {what}: {error.name} is not installed; it needs the extra: "
            "pip install 'trueframe[exports]'"
        ) from error


class Source:
    """A workspace's records and artifacts. What was read once is remembered."""

    def __init__(self, workspace: Workspace) -> None:
        """`workspace`: with records in it."""
        self.root = workspace.root
        self.auditor = Auditor(workspace)
        self.graph, self.ledger = self.auditor.graph, self.auditor.ledger
        self._held: dict[tuple[tuple[str, str], ...], Held] = {}
        self._checked: set[str] = set()

    @cached_property
    def records(self) -> Mapping[Node, Record]:
        """Records by stage and unit."""
        return self.auditor.snapshot.records

    @cached_property
    def commit(self) -> str:
        """The commit that is checked out. Raises UserError where there is none."""
        sha = git.head(self.root)
        if sha is None:
            raise UserError(f"{self.root}: expected a git repository with a commit, whose name and date go in")
        return sha

    @cached_property
    def date(self) -> str:
        """When that commit was made: the only time that an export tells, so that its bytes do not change by the day."""
        return git.dated(self.root, self.commit)

    @cached_property
    def lock(self) -> str:
        """ "sha256:…" of requirements.lock as it is; "missing" where there is none."""
        place = self.root / LOCK
        return f"sha256:{sha256_file(place)}" if place.is_file() else "missing"

    def find(self, asked: str) -> Node:
        """The unit that is meant. Raises UserError as subject.find does, and where it has no record."""
        node = subject.find(self.root, self.graph, asked).node
        if node not in self.records:
            raise UserError(f"{asked}: {' '.join(node)} has no record; run `dvc pull`, or make it with snakemake")
        return node

    def above(self, *nodes: Node) -> list[Node]:
        """These units and all that they come from. Raises UserError where a link between two of them does not hold."""
        found = self.graph.above(*nodes)
        self.unbroken(found)
        return found

    def unbroken(self, nodes: Iterable[Node]) -> None:
        """Raise UserError where a unit read what no record has as it was."""
        for node in nodes:
            if broken := self.graph.broken(node):
                raise UserError(
                    f"{STAGES[node[0]].record_path(node[1])}: {broken[0]}; nothing is told to outsiders that does not "
                    "hold: run snakemake, and `trueframe audit` for all that is missing"
                )

    def held(self, record: Record) -> Held:
        """The commits that hold a record's code."""
        key = tuple(sorted(record.recipe.code.items()))
        if key not in self._held:
            self._held[key] = self.auditor.history.holding(record.recipe.code)
        return self._held[key]

    def output(self, path: str) -> Output:
        """What an artifact's record says of it. Raises UserError where none does."""
        if path not in self.graph.makers:
            raise UserError(f"{path}: no record tells of it; run `dvc pull`, or make it with snakemake")
        return self.records[self.graph.makers[path]].outputs[path]

    def checked(self, path: str) -> Path:
        """Where an artifact lies. Raises UserError where it is not here, or has other bytes than its record says."""
        place, output = self.root / path, self.output(path)
        if not place.is_file():
            raise UserError(f"{path}: not here; run `dvc pull`, or make it with snakemake")
        if path not in self._checked and sha256_file(place) != output.sha256:
            raise UserError(
                f"{path}: its bytes are not those that its record tells; `trueframe audit --verify` finds what "
                "was changed, `dvc checkout` brings it back"
            )
        self._checked.add(path)
        return place

    def json(self, path: str) -> dict[str, Any]:
        """An artifact that is JSON."""
        value: dict[str, Any] = json.loads(self.checked(path).read_bytes())
        return value
