"""Is a withdrawn video in nothing any more? Its rows in the indexes say so, and all that comes from these indexes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trueframe import raw, tables
from trueframe.audit.ledger import Video
from trueframe.audit.traces import UNUSED, Member, Traces
from trueframe.audit.trail import Auditor
from trueframe.withdrawn import Withdrawn

_LEFT_OUT = (tables.WITHDRAWN, tables.MISSING_FILE)


@dataclass(frozen=True)
class Withdrawal:
    """How far a withdrawal is. lines: of data/withdrawn.csv; members: the content and the fakes made from it.

    done: whether nothing that is here has something of it, by the digests of records; models: seed to role, of
    those that depend on a member; units: "<stage> <unit>" of all that has something of one; broken: units that were
    made from other files than are there now; unseen: names that data/withdrawn.csv has with another MD5 than the index
    read, so that no run sees the line.
    """

    done: bool
    lines: tuple[Withdrawn, ...]
    members: tuple[Member, ...]
    models: Mapping[str, str]
    units: tuple[str, ...]
    broken: tuple[str, ...]
    unseen: tuple[str, ...]


def of(auditor: Auditor, lines: Iterable[Withdrawn]) -> Withdrawal:
    """How far the withdrawal of a content is in the workspace as it lies there."""
    traces = Traces(auditor.snapshot, lines)
    left_out = all(one.status in _LEFT_OUT for one in traces.members)
    return Withdrawal(
        done=left_out and not traces.units and not traces.broken,
        lines=traces.lines,
        members=traces.members,
        models={seed: role for seed, role in traces.roles.items() if role != UNUSED},
        units=tuple(" ".join(node) for node in traces.units),
        broken=tuple(" ".join(node) for node in traces.broken),
        unseen=tuple(_unseen(traces)),
    )


def lines_of(auditor: Auditor, video: Video) -> tuple[Withdrawn, ...]:
    """The lines of data/withdrawn.csv that withdraw a video: its content's, or of what it was made from."""
    lines = auditor.workspace.withdrawals
    if not lines:
        return ()
    part = {other.video: other for other in auditor.ledger.part(video.part)}
    names, next_ = {video.video}, video.original
    while next_ and next_ not in names:
        names.add(next_)
        next_ = part[next_].original if next_ in part else None
    digests = {part[name].sha256 for name in names if name in part}
    near = [line for line in lines if line.sha256 in digests or line.video in names]
    contents = dict.fromkeys(line.sha256 for line in near)
    members = {sha256: Traces(auditor.snapshot, _with(lines, sha256)).members for sha256 in contents}
    meant = {sha256 for sha256 in contents if any(_is(member, video) for member in members[sha256])}
    return tuple(line for line in lines if line.sha256 in meant)


def _with(lines: Iterable[Withdrawn], sha256: str) -> list[Withdrawn]:
    return [line for line in lines if line.sha256 == sha256]


def _is(member: Member, video: Video) -> bool:
    return (member.part, member.video) == (video.part, video.video)


def _unseen(traces: Traces) -> Iterable[str]:
    digests = {f"md5:{line.md5}" for line in traces.lines}
    for member in traces.members:
        if not member.why and member.sha256:
            read = traces.graph.records["index", member.part].recipe.inputs
            if read.get(f"{raw.RAW}/{member.part}/{member.video}") not in digests:
                yield f"{member.part}/{member.video}"
