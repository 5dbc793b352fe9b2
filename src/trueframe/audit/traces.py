"""Where a workspace, now or at a commit, has something of a withdrawn video or of a fake made from it.

A table, an archive or the submission is looked into; a model by what its training wrote down. What rests on one of
these has something of the video too: the scores of a model, and figures of scores. What can't be looked into, as it is
not on this machine, counts as having something where the records lead there from a video that was usable. Indexes,
tables of statuses and records have names and digests alone, as data/withdrawn.csv has, and count for nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trueframe import archive, claims, raw, tables
from trueframe.audit.graph import Graph
from trueframe.audit.snapshot import Node, Snapshot
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.records import Record
from trueframe.withdrawn import Withdrawn

TRAINED, VALIDATED, UNKNOWN, UNUSED = "trained", "validated", "unknown", "unused"
_RANKED = (TRAINED, VALIDATED, UNKNOWN, UNUSED)  # of the roles of several videos, the first counts
# By stage, the output that tells whether a unit has something of a video.
_TELLING = {
    "bboxes": "boxes",
    "crops": "archive",
    "landmarks": "points",
    "masks": "archive",
    "folds": "table",
    "predictions": "scores",
    "submission": "detail",
}
_INDEX = ["video", "sha256", "label", "original", "status", "reason"]
_FOLDS = STAGES["folds"].outputs["table"]
Names = Mapping[str, frozenset[str]]  # part to names of videos


@dataclass(frozen=True, order=True)
class Member:
    """The withdrawn content in a part, or a fake made from it. why: "made from …", empty for the content itself."""

    part: str
    video: str
    why: str
    sha256: str
    status: str
    reason: str


class Look:
    """Looks into files, each once whatever the number of commits that have it: objects never change."""

    def __init__(self) -> None:
        """Nothing was looked into yet."""
        self._indexes: dict[Path, list[dict[str, Any]]] = {}
        self._held: dict[tuple[Path, frozenset[tuple[str, str]]], bool] = {}
        self._folds: dict[Path, list[tuple[str, str, int]]] = {}

    def index(self, path: Path) -> list[dict[str, Any]]:
        """The rows of an index."""
        if path not in self._indexes:
            with _whole(path):
                self._indexes[path] = tables.read_rows(path, _INDEX)
        return self._indexes[path]

    def folds(self, path: Path) -> list[tuple[str, str, int]]:
        """(part, video, fold) of each video of a table of folds."""
        if path not in self._folds:
            with _whole(path):
                self._folds[path] = _distinct(path, ["part", "video", "fold"])
        return self._folds[path]

    def has(self, path: Path, kind: str, part: str | None, names: Names) -> bool:
        """Whether a table, an archive or the submission's detail has a row or an image of one of the videos.

        kind: how the file's name ends, which an object's does not; part: whose all rows are, None where each says it.
        """
        wanted = frozenset((place, name) for place in names if part in (None, place) for name in names[place])
        key = (path, wanted)
        if key not in self._held:
            with _whole(path):
                self._held[key] = not wanted.isdisjoint(_videos(path, kind, part))
        return self._held[key]


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Tell of a file that is no table and no archive, or not all of one, by its name."""
    try:
        yield
    except (OSError, ValueError, UserError) as error:
        why = str(error).partition("\n")[0].removeprefix(f"{path}: ")[:100]
        raise UserError(
            f"{path}: can't be read ({why}); `trueframe audit --verify` tells of damaged "
            "files; remove it if it is an object of DVC's cache, and `dvc fetch` it"
        ) from error


def _videos(path: Path, kind: str, part: str | None) -> Iterable[tuple[str, str]]:
    """(part, name) of every video that a file has something of. kind: ".zip", ".parquet" or ".csv"."""
    if kind == ".zip":
        return {(part or "", archive.parse_member(member.name)[0]) for member in archive.members(path)}
    if kind == ".parquet":
        return [(part, *row) for row in _distinct(path, ["video"])] if part else _distinct(path, ["part", "video"])
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("score")]
    return {(f"test/{row.get('part')}", row.get("filename", "")) for row in rows}


def _distinct(path: Path, columns: list[str]) -> list[tuple[Any, ...]]:
    """The different values of some columns of a table."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=columns)
    return [tuple(row[name] for name in columns) for row in table.group_by(columns).aggregate([]).to_pylist()]


class Traces:
    """What one snapshot has of a content that was withdrawn, and of the fakes made from it."""

    def __init__(self, snapshot: Snapshot, lines: Iterable[Withdrawn], look: Look | None = None) -> None:
        """`lines`: of data/withdrawn.csv, those that are meant."""
        self.snapshot = snapshot
        self.lines = tuple(lines)
        self.graph = Graph(snapshot.records)
        self._look = look or Look()
        self._contents = {line.sha256 for line in self.lines}

    @cached_property
    def indexes(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of each part's index that is here."""
        places = {unit: self._place(("index", unit), "table") for stage, unit in self.graph.records if stage == "index"}
        return {unit: self._look.index(place) for unit, place in places.items() if place}

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The content wherever it lies, and the fakes made from it, by part and name."""
        rows = [row for index in self.indexes.values() for row in index]
        names = {line.video for line in self.lines} | {row["video"] for row in rows if row["sha256"] in self._contents}
        return tuple(sorted(member for part, index in self.indexes.items() for member in self._of(part, index, names)))

    def _of(self, part: str, index: list[dict[str, Any]], names: set[str]) -> Iterator[Member]:
        """As the index has it, but by SHA-256: a name counts where the part has no such file."""
        there = {row["video"] for row in index if row["status"] != tables.MISSING_FILE}
        originals = {row["video"]: row["original"] for row in index if row["label"] == 1 and row["original"]}
        own = {row["video"] for row in index if row["sha256"] in self._contents}
        own |= names.intersection(originals.values()) - there
        made = claims.made_from(own, originals)
        for row in index:
            name = row["video"]
            if name in own or name in made:
                why = "" if name in own else f"made from {made[name]}"
                yield Member(part, name, why, row["sha256"], row["status"], row["reason"])

    @cached_property
    def names(self) -> Names:
        """The members' names by part."""
        parts = {member.part for member in self.members}
        return {part: frozenset(one.video for one in self.members if one.part == part) for part in sorted(parts)}

    @cached_property
    def below(self) -> list[Node]:
        """The units that come from the members' parts, in the order of the DAG."""
        return self.graph.below(*(("index", part) for part in self.names)) if self.names else []

    @cached_property
    def broken(self) -> dict[Node, list[str]]:
        """Those of them that are not made from what is there now, and what is wrong with each."""
        return {node: trouble for node in self.below if (trouble := self.graph.broken(node))}

    @cached_property
    def units(self) -> tuple[Node, ...]:
        """The units that have something of a member, in the order of the DAG."""
        found: dict[Node, None] = {}
        for node in self.below:
            if self._has(node, found):
                found[node] = None
        return tuple(found)

    def _has(self, node: Node, found: Mapping[Node, None]) -> bool:
        stage, unit = node
        reads = [source for source in self.graph.reads[node] if source in found]
        match stage:
            case "index":
                return False
            case "models":
                return self.roles[unit] != UNUSED
            case "evaluation":
                return bool(reads)
            case "predictions" if ("models", unit.partition("/")[0]) in found:
                return True
            case "submission" if reads:
                return True
        place = self._place(node, _TELLING[stage])
        if place is None:
            return self._presumed(node)
        part = {"folds": None, "submission": None, "predictions": unit.partition("/")[2]}.get(stage, unit)
        return self._look.has(place, Path(STAGES[stage].outputs[_TELLING[stage]]).suffix, part, self.names)

    def _presumed(self, node: Node) -> bool:
        """Whether a unit that can't be looked into may have something: all above it is not as it was, or had it."""
        usable = any(member.status in tables.USABLE for member in self.members)
        return usable or any(above in self.broken for above in self.graph.above(node))

    @cached_property
    def roles(self) -> dict[str, str]:
        """Seed to what its training did with the members: trained, validated, unused, or unknown."""
        return {unit: self._role(("models", unit)) for stage, unit in self.below if stage == "models"}

    def _role(self, node: Node) -> str:
        record = self.graph.records[node]
        told = self._place(node, "videos")
        if told is not None:
            with _whole(told):
                rows = tables.read_rows(told, ["part", "video", "role"])
            roles = {row["role"] for row in rows if row["video"] in self.names.get(row["part"], ())}
        else:
            roles = self._dealt(record)
        return next((role for role in _RANKED if role in roles), UNUSED)

    def _dealt(self, record: Record) -> set[str]:
        """The roles by the folds, where a training wrote down none: all folds but the one held out trained it."""
        place, made = self._place(("folds", "all"), "table"), self.graph.records.get(("folds", "all"))
        held_out = record.recipe.params.get("holdout_fold")
        same = made and record.recipe.inputs.get(_FOLDS) == f"sha256:{made.outputs[_FOLDS].sha256}"
        if place is None or not same or held_out is None:
            return {UNKNOWN} if self._presumed((record.stage, record.unit)) else {UNUSED}
        rows = self._look.folds(place)
        folds = {fold for part, video, fold in rows if video in self.names.get(part, ())}
        return {VALIDATED if fold == held_out else TRAINED for fold in folds}

    def files(self, node: Node) -> list[str]:
        """The files of a unit that has something: all that it made but tables of statuses."""
        statuses = STAGES[node[0]].outputs.get("videos", "") if node[0] in ("bboxes", "crops") else ""
        return [path for path in self.graph.records[node].outputs if path != statuses.format(unit=node[1])]

    def raw(self, node_files: Mapping[str, str]) -> list[str]:
        """Of raw files, path to MD5, those that are a member's: by what the index read, and by data/withdrawn.csv."""
        digests = {line.md5 for line in self.lines}
        for member in self.members:
            record = self.graph.records["index", member.part]
            read = record.recipe.inputs.get(f"{raw.RAW}/{member.part}/{member.video}", "")
            digests.add(read.removeprefix("md5:"))
        return [path for path, md5 in node_files.items() if path.startswith(f"{raw.RAW}/") and md5 in digests]

    def _place(self, node: Node, output: str) -> Path | None:
        """Where one output of a unit lies; None where it is not here, or was none yet when the unit was made."""
        record = self.graph.records.get(node)
        path = STAGES[node[0]].outputs[output].format(unit=node[1])
        return self.snapshot.locate(path) if record and path in record.outputs else None
