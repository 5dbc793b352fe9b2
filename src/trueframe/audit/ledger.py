"""The videos of a snapshot: what became of each, and what each model did with it. Columns, for there are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import tables
from trueframe.audit.snapshot import Node, Snapshot
from trueframe.dag import STAGES

if TYPE_CHECKING:
    import pyarrow as pa

_INDEX = ["video", "sha256", "label", "original", "status", "reason", "frames", "size_bytes"]
_ROLE = ["part", "video", "role", "reason", "fold", "crops", "used", "draws"]
_STAGES = ("bboxes", "crops")  # after the index, the stages that give a video a status


@dataclass(frozen=True)
class Video:
    """A video of a part. label: 0 real, 1 fake, None unknown; original: of a fake.

    status, reason: the last stage's that looked at it; stage: the first that found it not usable, else that last one;
    crops: how many it gave, None where the crops of its part are not here.
    """

    part: str
    video: str
    sha256: str
    label: int | None
    original: str | None
    frames: int
    size_bytes: int
    status: str
    reason: str
    stage: str
    crops: int | None

    @property
    def name(self) -> str:
        """Part and file name, which tell it from all others."""
        return f"{self.part}/{self.video}"

    @property
    def usable(self) -> bool:
        """Whether crops can come from it."""
        return self.status in tables.USABLE


@dataclass(frozen=True)
class Role:
    """What a training did with a video: a row of tables.ROLES."""

    role: str
    reason: str
    fold: int
    crops: int
    used: int
    draws: int


class Ledger:
    """Every video that the indexes of a snapshot list. Read part by part, when asked."""

    def __init__(self, snapshot: Snapshot) -> None:
        """`snapshot`: whose tables are read; what is not here is left out."""
        self._snapshot = snapshot
        self._parts: dict[str, list[Video]] = {}
        self._tables: dict[str, pa.Table | None] = {}
        self._roles: dict[str, dict[tuple[str, str], Role]] = {}

    @cached_property
    def parts(self) -> list[str]:
        """Parts that have an index, train parts last."""
        return [unit for stage, unit in self._snapshot.records if stage == "index"]

    @cached_property
    def seeds(self) -> list[str]:
        """Seeds that have a model, in the order of their numbers."""
        return sorted((unit for stage, unit in self._snapshot.records if stage == "models"), key=int)

    def part(self, part: str) -> list[Video]:
        """A part's videos by name."""
        if part not in self._parts:
            self._parts[part] = self._read(part)
        return self._parts[part]

    def videos(self, parts: Iterable[str] | None = None) -> list[Video]:
        """The videos of some parts, or of all."""
        return [video for part in (self.parts if parts is None else parts) for video in self.part(part)]

    def _read(self, part: str) -> list[Video]:
        index = _table(self._snapshot, ("index", part), "table", _INDEX)
        if index is None:
            return []
        found = [
            {name: index[name][row] for name in _INDEX} | {"stage": "index", "crops": None} for row in _rows(index)
        ]
        places = {row["video"]: row for row in found}
        for stage in _STAGES:
            told = _table(self._snapshot, (stage, part), "videos", ["video", "status", "reason", "items"])
            for number in _rows(told or {}):
                assert told is not None
                row = places[told["video"][number]]
                if row["status"] in tables.USABLE:
                    row |= {"status": told["status"][number], "reason": told["reason"][number], "stage": stage}
                if stage == "crops":
                    row["crops"] = told["items"][number]
        return [Video(part=part, **row) for row in found]

    def roles(self, seed: str) -> Mapping[tuple[str, str], Role]:
        """What a seed's training did with each train video that has crops, by part and name."""
        if seed not in self._roles:
            told = self._told(seed)
            values = zip(*(told[name].to_pylist() for name in _ROLE), strict=True) if told else ()
            self._roles[seed] = {(part, video): Role(*rest) for part, video, *rest in values}
        return self._roles[seed]

    def role(self, seed: str, part: str, video: str) -> Role | None:
        """The same of one video, without reading all of them into objects."""
        import pyarrow.compute as pc

        told = self._told(seed)
        if told is None:
            return None
        rows = told.filter((pc.field("part") == part) & (pc.field("video") == video)).select(_ROLE[2:]).to_pylist()
        return Role(**rows[0]) if rows else None

    def folds(self, seed: str) -> list[dict[str, Any]]:
        """Fold, role, reason and label, with the sums of used crops and of draws and the number of videos."""
        told = self._told(seed)
        if told is None:
            return []
        keys = ["fold", "role", "reason", "label"]
        sums = told.group_by(keys).aggregate([("used", "sum"), ("draws", "sum"), ("video", "count")])
        rows: list[dict[str, Any]] = sums.sort_by([(key, "ascending") for key in keys]).to_pylist()
        return rows

    def _told(self, seed: str) -> pa.Table | None:
        path = STAGES["models"].outputs["videos"].format(unit=seed)
        if seed not in self._tables:
            record = self._snapshot.records.get(("models", seed))
            self._tables[seed] = self._snapshot.table(path) if record and path in record.outputs else None
        return self._tables[seed]

    @staticmethod
    def statuses(videos: Iterable[Video]) -> list[tuple[str, str, int]]:
        """(stage, status, number of videos), of those that gave no crops for training or scoring; the most first."""
        left = Counter((video.stage, video.status) for video in videos if not video.usable)
        return [(stage, status, count) for (stage, status), count in sorted(left.items(), key=lambda i: (-i[1], i[0]))]


def _table(snapshot: Snapshot, node: Node, output: str, columns: list[str]) -> dict[str, list[Any]] | None:
    path = STAGES[node[0]].outputs[output].format(unit=node[1])
    record = snapshot.records.get(node)
    table: pa.Table | None = snapshot.table(Path(path), columns) if record and path in record.outputs else None
    return None if table is None else {name: table[name].to_pylist() for name in columns}


def _rows(table: Mapping[str, list[Any]]) -> range:
    return range(len(next(iter(table.values()), [])))
