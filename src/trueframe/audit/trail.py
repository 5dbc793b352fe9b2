"""The way from a file down to the raw videos: units, params, code, data, what was left out, and what is wrong."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from trueframe import archive, raw
from trueframe.audit import runs
from trueframe.audit.code import Held, History
from trueframe.audit.graph import Graph
from trueframe.audit.ledger import Ledger, Video
from trueframe.audit.snapshot import Folder, Node
from trueframe.audit.subject import Face, Subject
from trueframe.dag import KINDS, STAGES
from trueframe.errors import UserError
from trueframe.records import LOCK, Record
from trueframe.workspace import Workspace, leaves

TRACKED = ("models", "evaluation")  # stages that MLflow hears of


@dataclass(frozen=True)
class Variant:
    """What several units of a stage have in common. params: dotted name to value; code: module to digest."""

    units: tuple[str, ...]
    params: Mapping[str, Any]
    code: Mapping[str, str]
    environment: Mapping[str, str]
    code_commits: Held
    lock_commits: Held


@dataclass(frozen=True)
class Step:
    """A stage on the way. reads: stages, nearest first; items: output to how many of its rows or images there are."""

    stage: str
    units: tuple[str, ...]
    reads: tuple[str, ...]
    items: Mapping[str, int]
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Problem:
    """A link that is missing or stale. reasons: as `trueframe status` has them, or a sentence."""

    stage: str
    unit: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A part on the way: its raw files, its videos, how many of them are usable and how many crops those gave."""

    part: str
    raw_files: int
    videos: int
    usable: int
    crops: int


@dataclass(frozen=True)
class Fold:
    """What a seed's training did with a fold's videos."""

    seed: str
    fold: int
    role: str
    reason: str
    real: int
    fake: int
    crops: int
    draws: int


@dataclass(frozen=True)
class Trail:
    """The answer. `outputs`: the unit's files, with SHA-256, size and items; crop: where a crop was asked for."""

    asked: str
    stage: str
    unit: str
    path: str | None
    outputs: Mapping[str, Mapping[str, Any]]
    crop: Mapping[str, Any] | None
    seeds: tuple[str, ...]
    steps: tuple[Step, ...]
    parts: tuple[Part, ...]
    folds: tuple[Fold, ...]
    left_out: tuple[tuple[str, str, int], ...]
    runs: Mapping[str, tuple[runs.Run, ...]]
    tracking_server: str | None
    problems: tuple[Problem, ...]


class Auditor:
    """A workspace, asked. What was read once is remembered."""

    def __init__(self, workspace: Workspace) -> None:
        """`workspace`: with records in it."""
        self.workspace = workspace
        self.snapshot = Folder(workspace.root)
        self.graph = Graph(self.snapshot.records)
        self.ledger = Ledger(self.snapshot)
        self.history = History(workspace.root)

    def trail(self, asked: str, subject: Subject) -> Trail:
        """Where a unit came from."""
        nodes = self.graph.above(subject.node)
        record = self.snapshot.records.get(subject.node)
        parts = [unit for stage, unit in nodes if stage == "index"]
        seeds = tuple(sorted((unit for stage, unit in nodes if stage == "models"), key=int))
        videos = self.ledger.videos(parts)
        return Trail(
            asked=asked,
            stage=subject.node[0],
            unit=subject.node[1],
            path=subject.path,
            outputs={path: vars(output) for path, output in record.outputs.items()} if record else {},
            crop=self._crop(subject),
            seeds=seeds,
            steps=tuple(self._steps(nodes)),
            parts=tuple(self._part(part, self.ledger.part(part)) for part in parts),
            folds=tuple(fold for seed in seeds for fold in self._folds(seed)),
            left_out=tuple(self.ledger.statuses(videos)),
            runs={f"{node[0]} {node[1]}": found for node in nodes if (found := self._runs(node))},
            tracking_server=runs.elsewhere(),
            problems=tuple(self.problems(nodes)),
        )

    def videos(self, node: Node) -> list[Video]:
        """Every video that a unit comes from."""
        return self.ledger.videos(unit for stage, unit in self.graph.above(node) if stage == "index")

    def problems(self, nodes: Iterable[Node]) -> Iterable[Problem]:
        """What is missing or stale among these units: by their records, and by what the workspace would do now."""
        known = {(stage, unit) for stage in STAGES for unit in self.workspace.layout.units(stage)}
        for stage, unit in nodes:
            reasons = self.workspace.reasons(stage, unit) if (stage, unit) in known else ["no such unit any more"]
            broken = self.graph.broken((stage, unit))
            named = {f"input.{PurePath(link.rpartition(': ')[0]).name}" for link in broken}
            reasons = [*broken, *(reason for reason in reasons if reason not in named)]
            if reasons:
                yield Problem(stage, unit, tuple(reasons))

    def _steps(self, nodes: list[Node]) -> Iterable[Step]:
        for stage in reversed(STAGES):
            mine = [(name, unit) for name, unit in nodes if name == stage]
            if not mine:
                continue
            items: Counter[str] = Counter()
            for node in mine:
                items.update(items_of(self.snapshot.records.get(node)))
            above = {name for node in mine for name, _ in self.graph.reads.get(node, ())}
            reads = tuple(name for name in reversed(STAGES) if name in above)
            yield Step(stage, tuple(unit for _, unit in mine), reads, dict(items), tuple(self._variants(mine)))

    def _variants(self, nodes: list[Node]) -> Iterable[Variant]:
        groups: dict[str, list[Node]] = {}
        for node in nodes:
            record = self.snapshot.records.get(node)
            if record:
                same = (sorted(params_of(record).items(), key=str), record.recipe.code, record.environment)
                groups.setdefault(repr(same), []).append(node)
        for group in groups.values():
            record = self.snapshot.records[group[0]]
            lock = {str(LOCK): record.environment.get("lock", "missing")}
            yield Variant(
                tuple(unit for _, unit in group),
                params_of(record),
                record.recipe.code,
                record.environment,
                self.history.holding(record.recipe.code),
                self.history.holding(lock),
            )

    def _part(self, part: str, videos: list[Video]) -> Part:
        record = self.snapshot.records.get(("index", part))
        files = sum(path.startswith(f"{raw.RAW}/") for path in record.recipe.inputs) if record else 0
        usable = sum(video.usable for video in videos)
        return Part(part, files, len(videos), usable, sum(video.crops or 0 for video in videos))

    def _folds(self, seed: str) -> Iterable[Fold]:
        rows = self.ledger.folds(seed)
        for key in dict.fromkeys((row["fold"], row["role"], row["reason"]) for row in rows):
            mine = {row["label"]: row for row in rows if (row["fold"], row["role"], row["reason"]) == key}
            real, fake = (mine.get(label, {}).get("video_count", 0) for label in (0, 1))
            crops, draws = (sum(row[name] for row in mine.values()) for name in ("used_sum", "draws_sum"))
            yield Fold(seed, *key, real, fake, crops, draws)

    def _runs(self, node: Node) -> tuple[runs.Run, ...]:
        record = self.snapshot.records.get(node)
        return tuple(runs.known(self.workspace.root, record)) if record and node[0] in TRACKED else ()

    def _crop(self, subject: Subject) -> dict[str, Any] | None:
        """A crop's or mask's content, its video, and the box and score of the face that it was cut from."""
        face = subject.face
        if face is None:
            return None
        content = self._member(subject, face)
        video = next((video for video in self.ledger.part(face.part) if video.video == face.video), None)
        boxes = self.snapshot.table(STAGES["bboxes"].outputs["boxes"].format(unit=face.part))
        found = {
            row["video"]: row
            for row in (boxes.to_pylist() if boxes else ())
            if (row["frame"], row["track"]) == (face.frame, face.track)
        }
        box = found.get(face.video) or found.get(video.original or "" if video else "")
        roles = {seed: self.ledger.role(seed, face.part, face.video) for seed in self.ledger.seeds}
        told = {seed: role for seed, role in roles.items() if role}
        sha256 = video.sha256 if video else None
        return {**vars(face), **content, "sha256_of_video": sha256, "box": box, "roles": told}

    def _member(self, subject: Subject, face: Face) -> dict[str, Any]:
        place = self.snapshot.locate(subject.path or "")
        if place is None:
            raise UserError(f"{subject.path}: not here; run `dvc pull`, or make it with snakemake")
        wanted = (face.video, face.frame, face.track)
        for member in archive.members(place):
            if archive.parse_member(member.name) == wanted:
                with archive.Reader(place) as reader:
                    data = reader.read(member.offset, member.size)
                return {"member": member.name, "size": member.size, "sha256": hashlib.sha256(data).hexdigest()}
        raise UserError(
            f"{subject.path}: has no {face.video}/{face.frame}_{face.track}; `trueframe audit --video {face.video}` "
            "tells what became of its video"
        )


def params_of(record: Record) -> dict[str, Any]:
    """The parameters that mattered to a unit, dotted name to value: a train part's are none of the test parts', say."""
    kind = record.unit.partition("/")[0]
    others = [name for name in KINDS if name != kind] if kind in KINDS else []
    known = {name: value for name, value in record.recipe.params.items() if name not in others}
    return {f"{record.stage}.{name}": value for name, value in leaves(known).items()}


def items_of(record: Record | None) -> dict[str, int]:
    """Output to items of a unit, a ranked output's files together."""
    if record is None:
        return {}
    names = {}
    for name, pattern in STAGES[record.stage].outputs.items():
        head, _, tail = pattern.format(unit=record.unit, rank="\0").partition("\0")
        paths = [path for path in record.outputs if path == head or (tail and path.startswith(head))]
        names[name] = sum(record.outputs[path].items for path in paths)
    return names
