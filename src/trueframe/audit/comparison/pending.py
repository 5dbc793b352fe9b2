"""What a snapshot's params.yaml and code say and its records do not have: it has not been run yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from trueframe.audit.comparison.edits import digest_of
from trueframe.audit.comparison.tally import Change, Tally
from trueframe.audit.snapshot import Commit, Folder, Node
from trueframe.audit.trail import params_of
from trueframe.records import Record
from trueframe.workspace import UNIT_KEYS


@dataclass(frozen=True)
class Pending:
    """Of one snapshot. In the changes a is what the records have, b what stands in params.yaml or src."""

    of: str
    params: tuple[Change, ...]
    modules: tuple[Change, ...]


def pending(snapshot: Folder | Commit, nodes: Iterable[Node]) -> Pending | None:
    """What the units of these records were not made with; None where nothing."""
    tally = Tally()

    @cache
    def digest(path: str) -> str:
        return digest_of(snapshot.text(Path(path)))

    for node in nodes:
        record, unit = snapshot.records[node], " ".join(node)
        tally.compare("param", params_of(record), _asked(snapshot.params, record), unit)
        tally.compare("module", record.recipe.code, {path: digest(path) for path in record.recipe.code}, unit)
    found = Pending(snapshot.name, tally.changes("param"), tally.changes("module"))
    return found if found.params or found.modules else None


def _asked(params: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """The unit's parameters by params.yaml."""
    section = params.get(record.stage)
    known = section if isinstance(section, dict) else {}
    own = {key: value for key, value in known.items() if key not in UNIT_KEYS.get(record.stage, ())}
    return params_of(replace(record, recipe=replace(record.recipe, params=own)))
