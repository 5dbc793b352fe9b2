"""What the records say, and which of them can be believed: those that are as DVC holds them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueframe import records
from trueframe.audit.proof.findings import Finding, Kind
from trueframe.audit.proof.lock import Lock
from trueframe.audit.snapshot import Node
from trueframe.dag import ONE, STAGES, Stage
from trueframe.formats import OtherFormatError
from trueframe.records import Record
from trueframe.workspace import leaves

_UNITS = {
    "part": r"(?:train|test)/[^/]+",
    "train part": r"train/[^/]+",
    "seed": r"\d+",
    "seed and part": r"\d+/(?:train|test)/[^/]+",
    "one": ONE,
}
_ABSENT = object()
_FIELDS_TOLD = 6


@dataclass(frozen=True)
class Testimony:
    """A unit's record. own: as it lies here; believed: the one to judge the artifacts by, DVC's where they differ.

    Either is None where it is no record or not there. size: of the file, in bytes.
    """

    node: Node
    path: str
    own: Record | None
    believed: Record | None
    size: int
    finding: Finding | None


def hear(root: Path, lock: Lock) -> dict[Node, Testimony]:
    """The record of each unit that has one here or in DVC's lock, in the order of the DAG."""
    found = {}
    for stage in STAGES.values():
        folder = Path(stage.record.partition("{")[0])
        here = (str(path.relative_to(root)) for path in (root / folder).rglob("*.json")) if "{" in stage.record else ()
        for unit, path in sorted(_units(stage, {*here, *lock.tracked.files, stage.record})):
            if (root / path).is_file() or path in lock.tracked.files:
                found[stage.name, unit] = _hear(root, lock, (stage.name, unit), path)
    return found


def _units(stage: Stage, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(unit, path) of those paths that are a record of the stage's by their name."""
    head, _, tail = stage.record.partition("{unit}")
    pattern = re.compile(f"{re.escape(head)}({_UNITS[stage.units]}){re.escape(tail)}")
    if head == stage.record:
        return iter([(ONE, head)])
    matches = map(pattern.fullmatch, paths)
    return ((match[1], match[0]) for match in matches if match)


def _hear(root: Path, lock: Lock, node: Node, path: str) -> Testimony:
    md5 = lock.tracked.files.get(path)
    advice = lock.restore(path)
    try:
        data = (root / path).read_bytes()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        expected = f"md5:{md5}" if md5 else "a record"
        kind = Kind.MISSING if gone else Kind.UNREADABLE
        finding = Finding(path, kind, expected, str(error.strerror), lock.restore(path, there=not gone))
        return Testimony(node, path, None, _original(lock, path, node, md5), 0, finding)
    own = _record(data, path, node)
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 and found != md5:
        original = lock.objects.original(md5)
        expected, now = _fields(original, data) if original else ("", "")
        digests = (f"md5:{md5}", f"md5:{found}")
        finding = Finding(path, Kind.EDITED, expected or digests[0], now or digests[1], advice)
        return Testimony(node, path, own, _record(original, path, node) if original else None, len(data), finding)
    if own is None:
        finding = Finding(path, Kind.UNREADABLE, f"a record of {' '.join(node)}", "something else", advice)
        return Testimony(node, path, None, None, len(data), finding)
    return Testimony(node, path, own, own, len(data), None)


def _original(lock: Lock, path: str, node: Node, md5: str | None) -> Record | None:
    data = lock.objects.original(md5) if md5 else None
    return _record(data, path, node) if data else None


def _record(data: bytes, path: str, node: Node) -> Record | None:
    try:
        record = records.parse(data, Path(path))
    except OtherFormatError:
        return None  # what it claims can't be compared, and that is told
    return record if record and (record.stage, record.unit) == node else None


def _fields(original: bytes, data: bytes) -> tuple[str, str]:
    """What of a record differs: as DVC holds it, and as it is here."""
    before, now = _values(original), _values(data)
    if now is None or before is None:
        return "a record as DVC holds it", "no JSON"
    changed = [name for name in sorted({*before, *now}) if before.get(name, _ABSENT) != now.get(name, _ABSENT)]
    if not changed:
        return "a record as DVC holds it", "the same values, written otherwise"
    return _listed(changed, before), _listed(changed, now)


def _values(data: bytes) -> dict[str, Any] | None:
    try:
        return leaves(json.loads(data))
    except (ValueError, RecursionError):
        return None


def _listed(names: list[str], values: dict[str, Any]) -> str:
    told = [f"{name} {json.dumps(values[name]) if name in values else 'absent'}" for name in names[:_FIELDS_TOLD]]
    return "; ".join([*told, *([f"and {len(names) - _FIELDS_TOLD} more"] if len(names) > _FIELDS_TOLD else [])])
