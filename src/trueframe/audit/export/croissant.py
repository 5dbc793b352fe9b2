"""The data set as Croissant: its tables, and what their columns mean.

Source: Croissant 1.0 (http://mlcommons.org/croissant/1.0). The videos are not distributed with it; they are told of by
digest. Tables are named by their paths from the file's own folder, so that file lies in the workspace.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trueframe import tables
from trueframe.audit.export.source import Source
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import canonical_json

if TYPE_CHECKING:
    import mlcroissant as mlc

NAME = Path("croissant.json")
_PARQUET = "application/x-parquet"
_NOT_HERE = "The videos are not distributed with this description: each is told of by its SHA-256."
_USED = f"{', '.join(tables.USABLE)}: used; any other: left out"
_FACE = {
    "video": "name of its file",
    "frame": "number of the frame, from 0",
    "track": "number of the face in the video",
}


@dataclass(frozen=True)
class About:
    """What no artifact knows of a data set and its owner does. licence: a URI; None: not told."""

    name: str
    description: str
    licence: str
    creator: str | None = None
    url: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class _Rows:
    """A kind of row: in which stage's which output it is, and what its columns mean."""

    name: str
    about: str
    stage: str
    output: str
    schema: pa.Schema
    columns: dict[str, str]

    @property
    def pattern(self) -> str:
        """The tables' paths, `{unit}` standing for the part."""
        return STAGES[self.stage].outputs[self.output]


_SETS = (
    _Rows(
        "videos", "A row per video.", "index", "table", tables.INDEX,
        {
            "video": "name of its file",
            "sha256": "SHA-256 of its file",
            "label": "0 real, 1 fake, nothing where it is not known",
            "original": "of a fake, the file that it was made from",
            "size_bytes": "size of its file, in bytes",
            "codec": "its codec",
            "width_px": "width of a frame, in pixels",
            "height_px": "height of a frame, in pixels",
            "fps": "frames per second",
            "frames": "number of frames",
            "status": _USED,
            "reason": "why it has that status",
        },
    ),
    _Rows(
        "faces", "A row per face that was found in a frame that was searched.", "bboxes", "boxes", tables.BBOXES,
        _FACE | {side: f"{side} of its box, in pixels of the frame" for side in ("x0", "y0", "x1", "y1")}
        | {"score": "the detector's, 0 to 1"},
    ),
    _Rows(
        "outcomes", "A row per video: what became of it, and how many crops of faces it gave.", "crops", "videos",
        tables.VIDEOS,
        {"video": "name of its file", "status": _USED, "reason": "why it has that status", "items": "number of crops"},
    ),
    _Rows(
        "folds", "A row per crop of a train part, with its fold.", "folds", "table", tables.FOLDS,
        {"part": "kind and name of its part"} | _FACE
        | {"label": "0 real, 1 fake", "original": "the real video that it goes back to", "fold": "number of its fold"},
    ),
)  # fmt: skip


def text(source: Source, about: About) -> str:
    """The description of a workspace's data set.

    Raises UserError where no part has an index, where a link between units does not hold, and where a table is not here
    or not as its record says.
    """
    import mlcroissant as mlc

    nodes = [node for node in source.records if node[0] in {rows.stage for rows in _SETS}]
    if not any(stage == "index" for stage, _ in nodes):
        raise UserError(f"{source.root}: expected an index of a part; run `dvc pull`, or make it with snakemake")
    source.unbroken(source.graph.above(*nodes))
    found = {rows.name: _tables(source, rows) for rows in _SETS}
    kinds = [rows for rows in _SETS if found[rows.name]]
    metadata = mlc.Metadata(
        name=about.name,
        description=f"{about.description} {_NOT_HERE}",
        license=[about.licence],
        creators=[mlc.Organization(name=about.creator)] if about.creator else [],
        url=about.url,
        version=about.version,
        date_published=source.date,
        data_limitations=_limitations(source) or None,
        distribution=[
            *(
                _file(source, f"{name}-{number}", path)
                for name, paths in found.items()
                for number, path in enumerate(paths)
            ),
            *(_files(rows, found[rows.name]) for rows in kinds),
        ],
        record_sets=[_record_set(rows) for rows in kinds],
    )
    if metadata.issues.errors:
        raise UserError(f"croissant: {'; '.join(sorted(metadata.issues.errors))}")
    return canonical_json(metadata.to_json())


def _tables(source: Source, rows: _Rows) -> list[str]:
    units = (unit for stage, unit in source.records if stage == rows.stage)
    return [path for unit in units if (path := rows.pattern.format(unit=unit)) in source.graph.makers]


def _file(source: Source, name: str, path: str) -> mlc.FileObject:
    """A table. name: not its path, which may hold what an identifier must not."""
    import mlcroissant as mlc

    source.checked(path)
    output = source.output(path)
    size = f"{output.size} B"
    return mlc.FileObject(
        id=name, name=path, content_url=path, content_size=size, encoding_formats=[_PARQUET], sha256=output.sha256
    )


def _files(rows: _Rows, paths: list[str]) -> mlc.FileSet:
    """The tables with one kind of row. A pattern each, for patterns can't tell x.parquet from x.videos.parquet."""
    import mlcroissant as mlc

    includes = [glob.escape(path) for path in paths]
    return mlc.FileSet(id=f"{rows.name}-tables", name=rows.name, encoding_formats=[_PARQUET], includes=includes)


def _record_set(rows: _Rows) -> mlc.RecordSet:
    import mlcroissant as mlc

    def field(name: str, kind: str, about: str, **source: Any) -> mlc.Field:
        return mlc.Field(
            id=f"{rows.name}/{name}",
            name=name,
            description=about,
            data_types=[kind],
            source=mlc.Source(file_set=f"{rows.name}-tables", **source),
        )

    fields = [
        field(name, _kind(rows.schema.field(name).type), about, extract=mlc.Extract(column=name))
        for name, about in rows.columns.items()
    ]
    if "part" not in rows.columns:
        head, _, tail = rows.pattern.partition("{unit}")
        fields.insert(
            0,
            field(
                "part",
                mlc.DataType.TEXT,
                "kind and name of its part: train/… or test/…",
                extract=mlc.Extract(file_property=mlc.FileProperty.fullpath),
                transforms=[mlc.Transform(regex=f"^{re.escape(head)}(.*){re.escape(tail)}$")],
            ),
        )
    return mlc.RecordSet(id=rows.name, name=rows.name, description=rows.about, fields=fields)


def _kind(kind: pa.DataType) -> str:
    import mlcroissant as mlc

    name = mlc.DataType.TEXT
    if pa.types.is_integer(kind):
        name = mlc.DataType.INTEGER
    elif pa.types.is_floating(kind):
        name = mlc.DataType.FLOAT
    return str(name)


def _limitations(source: Source) -> list[str]:
    """What was left out, in words."""
    statuses = source.ledger.statuses(source.ledger.videos())
    return [f"{count} videos left out: {status}, found by {stage}" for stage, status, count in statuses]
