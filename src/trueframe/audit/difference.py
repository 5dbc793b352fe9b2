"""What differs between two units, or two snapshots, and all they come from; and what of it can be why they differ.

Bytes tell: from the compared units the way up is followed only along what was read with other bytes. What differs in a
unit on this way may be a reason. What differs elsewhere above left the bytes as they were, and is told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trueframe import raw, withdrawn
from trueframe.audit.comparison import packages, scores, sides
from trueframe.audit.comparison import videos as video_changes
from trueframe.audit.comparison.edits import Edits, Module
from trueframe.audit.comparison.pairs import Pair, Pairs
from trueframe.audit.comparison.pending import Pending, pending
from trueframe.audit.comparison.recipes import Recipes, named
from trueframe.audit.comparison.scores import EVALUATION, Score
from trueframe.audit.comparison.tally import Change, Tally
from trueframe.audit.comparison.videos import Fate, VideoChange
from trueframe.audit.graph import Graph
from trueframe.audit.ledger import Ledger
from trueframe.audit.snapshot import Commit, Folder, Node
from trueframe.dag import ONE, STAGES
from trueframe.errors import UserError

Place = Folder | Commit
PartPair = tuple[str | None, str | None]
LEAVES: tuple[Node, ...] = (("submission", ONE), EVALUATION)
# Stages that give videos a status, and the output that has it.
_STATUSES = {"index": "table", "bboxes": "videos", "crops": "videos"}


@dataclass(frozen=True)
class Differences:
    """What differs. A Change has the units that it is of, "<stage> <unit>".

    units: seeds and parts that one side lacks, or that are compared with each other; params: as params.yaml names them;
    files: those from outside that are no videos, by digest; environment: python, platform, a lock by which no package
    can be said to differ, and what a training ran on; reads: outputs that only one side's code reads.
    """

    units: tuple[Change, ...]
    params: tuple[Change, ...]
    videos: tuple[VideoChange, ...]
    files: tuple[Change, ...]
    modules: tuple[Module, ...]
    packages: tuple[Change, ...]
    environment: tuple[Change, ...]
    reads: tuple[Change, ...]

    def __bool__(self) -> bool:
        return any(vars(self).values())


@dataclass(frozen=True)
class Difference:
    """The answer. a, b: the names of the snapshots; compared: the units, "<stage> <unit>" on each side.

    outputs: those of the compared units whose bytes differ, by SHA-256; reasons: what can be why, all of it or some;
    harmless: what differs and left the bytes as they were; unexplained: sentences on what no record here explains;
    fates, roles: what stages and trainings made of videos; pending: what params.yaml and src say and no run has done.
    """

    a: str
    b: str
    compared: tuple[tuple[str, str], ...]
    outputs: tuple[Change, ...]
    scores: tuple[Score, ...]
    reasons: Differences
    harmless: Differences
    unexplained: tuple[str, ...]
    fates: tuple[Fate, ...]
    roles: tuple[Fate, ...]
    pending: tuple[Pending, ...]


def between(root: Path, a: str, b: str) -> Difference:
    """What differs between two things by name, as sides.both reads them. Raises UserError as that does."""
    one, other = sides.both(root, a, b)
    return compare(one.snapshot, one.node, other.snapshot, other.node)


def compare(snapshot_a: Place, node_a: Node | None, snapshot_b: Place, node_b: Node | None) -> Difference:
    """What differs between two units of a stage; by None and None, between submission and evaluation of two snapshots.

    One None is the same unit as on the other side. Where two snapshots do not both have submission or evaluation, the
    last stage that they both have is compared. Raises UserError where a side has no record of its unit.
    """
    graph_a = Graph(snapshot_a.records)
    graph_b = graph_a if snapshot_a is snapshot_b else Graph(snapshot_b.records)
    a, b = node_a or node_b, node_b or node_a
    for snapshot, node in ((snapshot_a, a), (snapshot_b, b)):
        _require(snapshot, node)
    if a and b and a[0] != b[0]:
        raise UserError(f"{' '.join(a)}, {' '.join(b)}: expected two units of one stage")
    starts = [(a, b)] if a and b else _leaves(graph_a, graph_b)
    return _Comparison((snapshot_a, snapshot_b), Pairs(graph_a, graph_b), starts).result()


def _require(snapshot: Place, node: Node | None) -> None:
    """Raise UserError where a snapshot has no record of a unit; of None, no record at all."""
    if node in snapshot.records or (node is None and snapshot.records):
        return
    advice = "run snakemake there, or `dvc pull`"
    if isinstance(snapshot, Commit):
        advice = "get what DVC's cache may lack by `dvc fetch --all-commits`, or name a commit after a run"
    what = f"{' '.join(node)}: expected its record" if node else "expected records"
    raise UserError(f"{what} in {snapshot.name}, found none; {advice}")


def _leaves(a: Graph, b: Graph) -> list[Pair]:
    both = [node for node in a.records if node in b.records]
    if not both:
        raise UserError("expected records of one unit on both sides, found none; run snakemake or `dvc pull`")
    last = [node for node in both if node in LEAVES] or [node for node in both if node[0] == both[-1][0]]
    return [(node, node) for node in last]


class _Comparison:
    """One question, and what it takes to answer it."""

    def __init__(self, snapshots: tuple[Place, Place], pairs: Pairs, starts: list[Pair]) -> None:
        self.snapshots, self.pairs, self.starts = snapshots, pairs, starts
        ledger = Ledger(snapshots[0])
        self.ledgers = ledger, (ledger if snapshots[0] is snapshots[1] else Ledger(snapshots[1]))
        self.way = pairs.walk([pair for pair in starts if pairs.outputs(pair)], everything=False)
        on_the_way = set(self.way)
        self.rest = [pair for pair in pairs.walk(starts, everything=True) if pair not in on_the_way]

    def result(self) -> Difference:
        recipes = Recipes(self.snapshots, self.pairs, self.starts)
        reasons, others = recipes.tally(self.way), recipes.tally(self.rest)
        locks = packages.Locks(*self.snapshots)
        lost = packages.add(reasons, reasons.changes("lock"), locks)
        lost += packages.add(others, others.changes("lock", reasons), locks)
        parts = dict.fromkeys(self._parts(self.way, reasons))
        videos, fates = video_changes.compare(self.ledgers, parts)
        other_parts = [pair for pair in dict.fromkeys(self._parts(self.rest, others)) if pair not in parts]
        other_videos, other_fates = video_changes.compare(self.ledgers, other_parts)
        return Difference(
            a=self.snapshots[0].name,
            b=self.snapshots[1].name,
            compared=tuple((" ".join(a), " ".join(b)) for a, b in self.starts),
            outputs=tuple(self._outputs()),
            scores=tuple(self._scores()),
            reasons=self._differences(reasons, Tally(), videos),
            harmless=self._differences(others, reasons, other_videos),
            unexplained=tuple(dict.fromkeys((*self._unexplained(reasons), *lost))),
            fates=(*fates, *other_fates),
            roles=tuple(self._roles()),
            pending=tuple(self._pending()),
        )

    def _differences(self, tally: Tally, but: Tally, videos: list[VideoChange]) -> Differences:
        told = {f"{raw.RAW}/{name}" for video in videos for name in (video.name, video.b.get("name"))}
        if any(video.kind in ("withdrawn", "restored") for video in videos):
            told.add(str(withdrawn.PATH))
        return Differences(
            units=tally.changes("unit", but),
            params=tally.changes("param", but),
            videos=tuple(videos),
            files=tuple(change for change in tally.changes("file", but) if change.name not in told),
            modules=Edits(*self.snapshots).modules(tally.changes("module", but)),
            packages=tally.changes("package", but),
            environment=tally.changes("environment", but),
            reads=tally.changes("read", but),
        )

    def _parts(self, pairs: Iterable[Pair], tally: Tally) -> Iterator[PartPair]:
        """The parts whose videos may differ, None for a part that a side lacks."""
        for pair in pairs:
            (stage, a), (_, b) = pair
            if stage in _STATUSES:
                pattern = STAGES[stage].outputs[_STATUSES[stage]]
                if pattern.format(unit=a if a == b else "*") in self.pairs.outputs(pair):
                    yield a, b
        for change in tally.changes("unit"):
            if change.name == "part" and change.kind != "changed":
                yield change.a, change.b

    def _outputs(self) -> Iterator[Change]:
        tally = Tally()
        for pair in self.starts:
            for path, digests in self.pairs.outputs(pair).items():
                a, b = ({path: digest} if digest else {} for digest in digests)
                tally.compare("output", a, b, named(pair))
        return iter(tally.changes("output"))

    def _models(self) -> list[Pair]:
        found = dict.fromkeys((*self.starts, *self.way))
        return sorted((pair for pair in found if pair[0][0] == "models"), key=lambda pair: int(pair[0][1]))

    def _scores(self) -> Iterator[Score]:
        if (EVALUATION, EVALUATION) in self.starts:
            yield from scores.ensemble(*self.snapshots)
        for pair in self._models():
            if pair in self.starts and self.snapshots[0] is self.snapshots[1]:
                yield from scores.seeds(self.snapshots[0], self.pairs.graphs[0], pair)
            yield from scores.validation(*self.snapshots, pair)

    def _roles(self) -> Iterator[Fate]:
        for pair in self._models():
            paths = [STAGES[stage].outputs["videos"].format(unit=unit) for stage, unit in pair]
            told = [
                snapshot.table(path, ["part", "video", "role", "reason"]) if path in record.outputs else None
                for snapshot, path, record in zip(self.snapshots, paths, self.pairs.records(pair), strict=True)
            ]
            if told[0] is not None and told[1] is not None:
                yield from video_changes.roles(named(pair), *told)

    def _unexplained(self, reasons: Tally) -> Iterator[str]:
        known = reasons.units()
        for pair in self.way:
            links = self.pairs.differing(pair)
            for link in links:
                for side, path in self.pairs.unmade(pair, link):
                    yield f"{'AB'[side]}: {path}, as {' '.join(pair[side])} read it, has no record there"
            if not links and named(pair) not in known:
                yield f"{named(pair)}: the same recipe in the same environment gave other bytes"
        for snapshot in self.snapshots:
            unlisted = snapshot.tracked.unlisted if isinstance(snapshot, Commit) else ()
            if lacking := [path for path in unlisted if path != str(raw.RAW)]:  # no raw file is read here
                what = ", ".join(lacking)
                yield f"DVC's cache lacks {what} of {snapshot.name}; `dvc fetch --all-commits` gets it"

    def _pending(self) -> Iterator[Pending]:
        graphs = dict(zip(self.snapshots, self.pairs.graphs, strict=True))
        for side, (snapshot, graph) in enumerate(graphs.items()):
            if found := pending(snapshot, graph.above(*(pair[side] for pair in self.starts))):
                yield found
