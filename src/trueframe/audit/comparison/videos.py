"""Which videos differ between two snapshots, what became of them, and what trainings did with them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trueframe import tables
from trueframe.audit.ledger import Ledger, Video

if TYPE_CHECKING:
    import pyarrow as pa

# What a video is, whatever the stages make of it.
_FACTS = ("sha256", "label", "original")


@dataclass(frozen=True)
class VideoChange:
    """A video that one side has, or has in another part or under another name, or that is not the same on both.

    a, b: what differs, of sha256, label (0 real, 1 fake, None unknown), original and, of one that moved, name; of one
    that was withdrawn, or is no more, its status.
    """

    name: str
    kind: Literal["changed", "added", "removed", "moved", "withdrawn", "restored"]
    a: Mapping[str, Any]
    b: Mapping[str, Any]


@dataclass(frozen=True)
class Fate:
    """Videos of which the two sides made different things. of: stage or model; a, b: what, with the reason."""

    of: str
    a: str
    b: str
    videos: tuple[str, ...]


def compare(
    ledgers: tuple[Ledger, Ledger], parts: Iterable[tuple[str | None, str | None]]
) -> tuple[list[VideoChange], list[Fate]]:
    """The videos that differ in some pairs of parts, None for a part that a side lacks; and statuses that differ."""
    changes: list[VideoChange] = []
    fates: dict[tuple[str, str, str], list[str]] = {}
    for pair in parts:
        a, b = (
            {video.video: video for video in ledger.part(part)} if part else {}
            for ledger, part in zip(ledgers, pair, strict=True)
        )
        for name in sorted(a.keys() | b.keys()):
            one, other = a.get(name), b.get(name)
            changes += _changes(one, other)
            if one and other and _status(one) != _status(other) and not _withdrawn(one, other):
                stage = other.stage if one.usable else one.stage
                fates.setdefault((stage, _status(one), _status(other)), []).append(other.name)
    return _with_moves(changes), _fates(fates)


def _changes(a: Video | None, b: Video | None) -> Iterator[VideoChange]:
    """What differs between two of a name. Of two parts' they are the same video only if their content is the same."""
    if a and b and (a.part == b.part or a.sha256 == b.sha256):
        if left := [fact for fact in _FACTS if getattr(a, fact) != getattr(b, fact)]:
            yield VideoChange(a.name, "changed", _facts(a, left), _facts(b, left))
        if _withdrawn(a, b):
            kind: Literal["withdrawn", "restored"] = "withdrawn" if b.status == tables.WITHDRAWN else "restored"
            yield VideoChange(b.name, kind, {"status": _status(a)}, {"status": _status(b)})
        return
    if a:
        yield VideoChange(a.name, "removed", _facts(a, _FACTS), {})
    if b:
        yield VideoChange(b.name, "added", {}, _facts(b, _FACTS))


def _withdrawn(a: Video, b: Video) -> bool:
    """Whether a video, or what it was made from, was withdrawn between the two, or is no more."""
    return (a.status == tables.WITHDRAWN) != (b.status == tables.WITHDRAWN)


def _facts(video: Video, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(video, name) for name in names}


def _with_moves(changes: list[VideoChange]) -> list[VideoChange]:
    """Removed and added ones of one content are one that moved."""
    gone: dict[str, list[VideoChange]] = {}
    for change in changes:
        if change.kind == "removed" and change.a["sha256"]:
            gone.setdefault(change.a["sha256"], []).append(change)
    moved: dict[str, VideoChange] = {}
    found = []
    for change in changes:
        before = gone.get(change.b.get("sha256", ""), []) if change.kind == "added" else []
        if before:
            old = before.pop(0)
            facts = [fact for fact in _FACTS if old.a[fact] != change.b[fact]]
            a = {"name": old.name} | {fact: old.a[fact] for fact in facts}
            b = {"name": change.name} | {fact: change.b[fact] for fact in facts}
            moved[old.name] = VideoChange(old.name, "moved", a, b)
            found.append(moved[old.name])
        else:
            found.append(change)
    return [change for change in found if change.kind != "removed" or change.name not in moved]


def _status(video: Video) -> str:
    return f"{video.status}: {video.reason}" if video.reason else video.status


def roles(model: str, a: pa.Table, b: pa.Table) -> list[Fate]:
    """Videos that two trainings used differently: trained, validated, unused and why, or not there.

    a, b: columns part, video, role and reason of tables.ROLES.
    """
    import pyarrow.compute as pc

    both = a.join(b, ["part", "video"], join_type="full outer", right_suffix=" of b").sort_by(
        [("part", "ascending"), ("video", "ascending")]
    )
    names = ("role", "reason")
    same = (pc.equal(pc.fill_null(both[name], ""), pc.fill_null(both[f"{name} of b"], "")) for name in names)
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in both.filter(pc.invert(functools.reduce(pc.and_, same))).to_pylist():
        key = model, _role(row["role"], row["reason"]), _role(row["role of b"], row["reason of b"])
        found.setdefault(key, []).append(f"{row['part']}/{row['video']}")
    return _fates(found)


def _role(role: str | None, reason: str | None) -> str:
    return "not there" if role is None else f"{role}: {reason}" if reason else role


def _fates(found: Mapping[tuple[str, str, str], list[str]]) -> list[Fate]:
    return [Fate(*key, tuple(videos)) for key, videos in sorted(found.items())]
