"""What a question is about: a unit, by whatever name a person has for one of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trueframe import raw
from trueframe.audit.graph import Graph
from trueframe.audit.snapshot import Node
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import sha256_file

# A crop or a mask: in its archive, or as its path would be if the archive were a folder.
_MEMBER = re.compile(
    r"data/(?P<stage>crops|masks)/(?P<part>(?:train|test)/[^/]+?)(?:\.zip)?[!:]*/+"
    r"(?P<video>[^/]+)/(?P<frame>\d+)_(?P<track>\d+)(?:\.\w+)?"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Face:
    """A crop or a mask."""

    part: str
    video: str
    frame: int
    track: int


@dataclass(frozen=True)
class Subject:
    """A unit. path: the one of its files that was meant, else None; face: the one crop that was meant."""

    node: Node
    path: str | None = None
    face: Face | None = None


def find(root: Path, graph: Graph, asked: str) -> Subject:
    """What `asked` means: a path in the workspace, a crop, a seed or another unit, a SHA-256, or a copy of a file.

    Raises UserError where no record knows it.
    """
    path = _relative(root, asked)
    return (
        _by_path(graph, path)
        or _known(graph, _by_member(path))
        or _known(graph, _by_unit(path))
        or _by_content(graph, root, asked)
        or _unknown(root, graph, asked)
    )


def _relative(root: Path, asked: str) -> str:
    """The path from the workspace, however it was written; symbolic links stay as they are."""
    path = Path(asked)
    here = Path.cwd()
    for base in (root, root.resolve()):
        for full in (path, here / path):
            if full.is_absolute() and full.is_relative_to(base):
                return str(full.relative_to(base))
    return str(path)


def _by_path(graph: Graph, path: str) -> Subject | None:
    if path in graph.makers:
        return Subject(graph.makers[path], path)
    for node in graph.records:
        record = STAGES[node[0]].record_path(node[1])
        if path == str(record) or path == str(record.with_suffix("")):
            return Subject(node)
    return None


def _by_member(path: str) -> Subject | None:
    found = _MEMBER.fullmatch(path)
    if not found:
        return None
    face = Face(found["part"], found["video"], int(found["frame"]), int(found["track"]))
    node = (found["stage"], found["part"])
    return Subject(node, STAGES[node[0]].outputs["archive"].format(unit=face.part), face)


def _by_unit(path: str) -> Subject | None:
    """`models/111`, `111`, `submission`, `crops/train/part_00`, `data/raw/train/part_00`."""
    plain = path.removeprefix("data/").rstrip("/")
    if plain.isascii() and plain.isdecimal():
        return Subject(("models", plain))
    stage, _, unit = plain.partition("/")
    if stage == raw.RAW.name and unit.count("/") == 1:
        return Subject(("index", unit))
    if stage in STAGES and (unit or STAGES[stage].units == "one"):
        return Subject((stage, unit or "all"))
    return None


def _known(graph: Graph, found: Subject | None) -> Subject | None:
    """A unit that has a record, or that lacks one though others read what it made; None for what never was."""
    if found is None or found.node in graph.records:
        return found
    stage, unit = found.node
    made = {pattern.format(unit=unit, rank=1) for pattern in STAGES[stage].outputs.values()}
    read = any(not made.isdisjoint(record.recipe.inputs) for record in graph.records.values())
    return found if read else None


def _by_content(graph: Graph, root: Path, asked: str) -> Subject | None:
    """A SHA-256 or a file from anywhere: whatever has this content."""
    digest = asked if _SHA256.fullmatch(asked) else content(root, asked)
    if digest is None:
        return None
    for node, record in graph.records.items():
        for path, output in record.outputs.items():
            if output.sha256 == digest:
                return Subject(node, path)
    return None


def content(root: Path, asked: str) -> str | None:
    """The SHA-256 of a file, named from here or from the workspace; None where there is none."""
    for place in (Path(asked), root / asked):
        try:
            if place.is_file():
                return sha256_file(place)
        except OSError:  # a name that is too long for any file
            return None
    return None


def _unknown(root: Path, graph: Graph, asked: str) -> Subject:
    if not graph.records:
        raise UserError(f"{root}: expected records beside the artifacts; run `dvc pull`, or make them with snakemake")
    raise UserError(
        f"{asked}: no record knows this file or its content; expected an artifact such as models/{_seed(graph)}, "
        "reports/submission.csv or data/crops/train/<part>.zip, or a copy of one; for a video use --video"
    )


def _seed(graph: Graph) -> str:
    return next((unit for stage, unit in graph.records if stage == "models"), "<seed>")
