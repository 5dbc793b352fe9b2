"""Withdraws a video: finds the one that is meant, writes data/withdrawn.csv, and says what follows from it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trueframe import claims, raw, video, withdrawn
from trueframe.audit.snapshot import Folder
from trueframe.dag import KINDS, STAGES, Layout
from trueframe.errors import UserError
from trueframe.files import sha256_file
from trueframe.printable import printable
from trueframe.withdrawn import Withdrawn
from trueframe.workspace import Workspace

_SHOWN = 10  # candidates that an error names
_EXPECTED = (
    f"expected {raw.RAW}/<kind>/<part>/<video>, <kind>/<part>/<video>, a file's name, a SHA-256 or its first 8 digits "
    "at least"
)


@dataclass(frozen=True)
class Content:
    """A file's digests, in hexadecimal."""

    sha256: str
    md5: str


@dataclass(frozen=True)
class _Part:
    """A part. files: its videos' content by name, as the index has it; originals: what each fake was made from."""

    unit: str
    files: dict[str, Content]
    originals: Mapping[str, str]

    def names(self, lines: Iterable[Withdrawn]) -> frozenset[str]:
        """What the lines withdraw here: withdrawn.names."""
        md5 = {name: f"md5:{content.md5}" for name, content in self.files.items()}
        return withdrawn.names(lines, md5, self.originals.values())

    def barred(self, names: Collection[str]) -> dict[str, str]:
        """The files that nobody may use when these names are withdrawn, by name, each with why."""
        why = {name: f"made from {original}" for name, original in claims.made_from(names, self.originals).items()}
        return {name: why.get(name, "") for name in sorted(self.files) if name in names or name in why}


@dataclass(frozen=True)
class Outcome:
    """What a withdrawal comes to.

    lines: the content's in data/withdrawn.csv; new: whether some are written now; videos: "<part>/<name>" of all that
    is withdrawn with it, and why, which is empty for the content itself; doubts: of what shares a name with one of
    these, or names one as its original, and is not withdrawn; units: stage to how many of how many depend on it;
    has_raw: whether they can run here.
    """

    lines: tuple[Withdrawn, ...]
    new: bool
    videos: Mapping[str, str]
    doubts: Mapping[str, str]
    units: Mapping[str, tuple[int, int]]
    has_raw: bool


def withdraw(workspace: Workspace, asked: str, reason: str) -> Outcome:
    """Put the video that `asked` means on data/withdrawn.csv, under each name that its content has here.

    asked: a path below data/raw, kind, part and name, a name, a SHA-256 or its start. Lines that are there stay as they
    are. Raises UserError where that is no video or several of different content, and for a reason that is no line of
    text.
    """
    # A part that is gone from data/raw may be in older commits; its index is still here then.
    units = dict.fromkeys(part for kind in KINDS for part in (*workspace.layout.parts(kind), *workspace.recorded(kind)))
    parts = [_part(workspace, unit) for unit in units]
    content, name = _find(workspace, parts, asked)
    names = {name} | {name for part in parts for name, other in part.files.items() if other == content}
    path = workspace.root / withdrawn.PATH
    new = withdrawn.add(path, [Withdrawn(content.sha256, content.md5, name, reason) for name in sorted(names)])
    lines = tuple(line for line in withdrawn.read(path) if line.sha256 == content.sha256)
    found = {part.unit: part.names(lines) for part in parts}
    barred = {part.unit: part.barred(found[part.unit]) for part in parts}
    return Outcome(
        lines=lines,
        new=bool(new),
        videos={f"{unit}/{name}": why for unit, videos in barred.items() for name, why in videos.items()},
        doubts=dict(_doubts(parts, barred)),
        units=_dependents(workspace.layout, [unit for unit, names in found.items() if names]),
        has_raw=workspace.has_raw,
    )


def told(outcome: Outcome) -> Iterator[str]:
    """The outcome in lines for a terminal."""
    line = outcome.lines[0]
    yield f"{withdrawn.PATH}: {'added' if outcome.new else 'it is there already:'} {_names(outcome.lines)}"
    yield f"  sha256  {line.sha256}"
    yield f"  reason  {printable(line.reason)}"
    yield from _listed("withdrawn:", outcome.videos)
    yield from _listed("not withdrawn; do so if they show the same person:", outcome.doubts)
    yield "depends on it: " + ", ".join(f"{stage} {some} of {all_}" for stage, (some, all_) in outcome.units.items())
    if not outcome.has_raw:
        yield f"{raw.RAW} is not here: commit {withdrawn.PATH}, and where the videos are, run:"
    else:
        yield "what is not up to date runs again with:"
    yield "  snakemake --cores all submission"
    yield "once that is committed, this lists and removes what older commits have of it:"
    yield f"  trueframe audit --video {line.sha256[:12]}"
    yield f"  trueframe withdraw {line.sha256[:12]} --purge"


def _names(lines: Iterable[Withdrawn]) -> str:
    return ", ".join(printable(line.video) for line in lines)


def _listed(title: str, videos: Mapping[str, str]) -> Iterator[str]:
    if videos:
        yield title
    for name, why in videos.items():
        yield printable(f"  {name}  {why}".rstrip())


def _part(workspace: Workspace, unit: str) -> _Part:
    read = {Path(path).name: digest for path, digest in workspace.recorded_raw("index", unit).items()}
    path = workspace.root / workspace.layout.output("index", "table", unit)[0]
    table = Folder(workspace.root).table(path.relative_to(workspace.root), ["video", "sha256"])
    rows = table.to_pylist() if table else []
    known = [row for row in rows if row["sha256"] and row["video"] in read]
    files = {row["video"]: Content(row["sha256"], read[row["video"]].removeprefix("md5:")) for row in known}
    return _Part(unit, files, workspace.originals(unit))


def _find(workspace: Workspace, parts: Sequence[_Part], asked: str) -> tuple[Content, str]:
    """The content that is meant, and a name of it. What a file holds now is written down in its part."""
    unit, name = _split(workspace.root, asked)
    found = {}
    for part in parts:
        if unit in (None, part.unit) and (content := _content(workspace, part, name)):
            found[f"{part.unit}/{name}"] = part.files[name] = content
    if not found and unit is None and withdrawn.DIGEST.fullmatch(asked):
        found = {
            f"{part.unit}/{name}": content
            for part in parts
            for name, content in part.files.items()
            if content.sha256.startswith(asked)
        }
    if not found:
        raise UserError(f"{asked}: no such video here; {_EXPECTED}")
    different = len(set(found.values()))
    if different > 1:
        shown = [f"{printable(place)} ({content.sha256[:12]}…)" for place, content in found.items()][:_SHOWN]
        raise UserError(f"{asked}: expected one video, found {different}; name one of these: {', '.join(shown)}")
    place, content = next(iter(found.items()))
    return content, place.rpartition("/")[2]


def _split(root: Path, asked: str) -> tuple[str | None, str]:
    """The part and the name that were asked for; no part where it is a name alone."""
    full = Path(os.path.normpath(root / asked))
    path = full.relative_to(root / raw.RAW) if full.is_relative_to(root / raw.RAW) else Path(asked)
    match path.parts:
        case (name,):
            return None, name
        case (kind, part, name) if kind in KINDS:
            return f"{kind}/{part}", name
    raise UserError(f"{asked}: no such video here; {_EXPECTED}")


def _content(workspace: Workspace, part: _Part, name: str) -> Content | None:
    """What a part's video holds now; what it held when the index saw it, where it is gone; None where there is none."""
    known = part.files.get(name)
    path = workspace.root / raw.RAW / part.unit / name
    try:
        if not path.is_file():
            return known
    except OSError:  # a name that is too long for any file
        return known
    if path.suffix.lower() not in video.EXTENSIONS:
        return None
    claims.require_text(name, path.parent)
    md5 = workspace.hashes.file(path).removeprefix("md5:")
    return known if known and known.md5 == md5 else Content(sha256_file(path), md5)


def _doubts(parts: Iterable[_Part], barred: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Videos that may show what is withdrawn and that the rule does not reach, each with why.

    A clip may lie in two parts in two qualities, and a fake may have been faked again in another part.
    """
    names = {name for videos in barred.values() for name in videos}
    for part in parts:
        for name in sorted(part.files.keys() - barred[part.unit].keys()):
            if name in names:
                yield f"{part.unit}/{name}", "has the same name"
            elif part.originals.get(name) in names:
                yield f"{part.unit}/{name}", f"made from {part.originals[name]}"


def _dependents(layout: Layout, parts: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Stage to the number of units that read from these parts, directly or not, and of all."""
    found = {("index", part) for part in parts}
    counts = {}
    for stage in STAGES:
        units = layout.units(stage)
        found |= {(stage, unit) for unit in units if found.intersection(layout.upstream(stage, unit))}
        some = sum((stage, unit) in found for unit in units)
        if some:
            counts[stage] = (some, len(units))
    return counts
