"""index: which videos a part has, what they are, and what is wrong with them."""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import claims, pool, tables, video
from trueframe.claims import METADATA
from trueframe.errors import UserError
from trueframe.files import UNREADABLE, sha256_file

if TYPE_CHECKING:
    from trueframe.params import Index
    from trueframe.tools import Tools

LABELS = "labels.csv"


def run(
    *, unit: str, raw: Path, table: Path, params: Index, tools: Tools, withdrawn: Collection[str] = ()
) -> dict[str, int]:
    """Write a row per video of the part (tables.INDEX): every file in its folder and every name in its metadata.

    raw: the part's folder; withdrawn: names of its files, and of originals that are not among them, which nobody may
    use, nor what was made from them: they are not decoded. Raises UserError for a part without videos and for metadata
    that can't be read.
    """
    metadata = claims.read(raw) if unit.startswith("train/") else {}
    files = {
        path.name for path in raw.iterdir() if path.name not in (METADATA, LABELS) and not path.name.startswith(".")
    }
    for name in sorted(files):
        claims.require_text(name, raw)
    names = sorted(files | set(metadata))
    if not names:
        raise UserError(f"{raw}: no videos in this part; put videos in or remove the folder")
    made_from = claims.made_from(withdrawn, claims.originals(metadata))
    barred = {name: f"made from {original}, which is withdrawn" for name, original in made_from.items()}
    barred |= dict.fromkeys(withdrawn, "listed in data/withdrawn.csv")
    rows = []
    with tools.progress.task(len(names), "videos") as advance:
        look = functools.partial(_look, raw, params.min_frames)
        # A name of the metadata that is no file of the folder may be a path to anywhere: it is never opened.
        items = [(name, name in files, barred.get(name)) for name in names]
        for row in pool.ordered(look, items, tools.workers):
            rows.append({**row, **_claims(row, metadata, unit)})
            advance(1)
    return {"table": tables.write(table, rows, tables.INDEX)}


def _look(raw: Path, min_frames: int, item: tuple[str, bool, str | None]) -> dict[str, Any]:
    """What the file itself says: everything of a row but the label.

    item: its name, whether it is in the folder, and why it must not be used, if so.
    """
    name, there, barred = item
    row: dict[str, Any] = {"video": name, "sha256": "", "size_bytes": 0, "codec": "", "width_px": 0, "height_px": 0}
    row |= {"fps": 0.0, "frames": 0, "status": tables.OK, "reason": ""}
    path = raw / name
    if not there:
        return row | {"status": tables.MISSING_FILE, "reason": f"named in {METADATA}, not in the folder"}
    if not path.exists():
        return row | {"status": tables.MISSING_FILE, "reason": "a link to a file that is not there"}
    if not path.is_file() or path.suffix.lower() not in video.EXTENSIONS:
        return row | {"status": tables.NOT_A_VIDEO, "reason": f"not a file that ends in {', '.join(video.EXTENSIONS)}"}
    try:
        row |= {"size_bytes": path.stat().st_size, "sha256": sha256_file(path)}
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise  # what the machine lacks
        if barred is None:
            return row | {"status": tables.DECODE_ERROR, "reason": f"can't be read: {error.strerror}"}
    if barred is not None:
        return row | {"status": tables.WITHDRAWN, "reason": barred}
    try:
        found = video.probe(path)
    except video.DecodeError as error:
        return row | {"status": tables.DECODE_ERROR, "reason": str(error)}
    row |= {"codec": found.codec, "width_px": found.width_px, "height_px": found.height_px, "fps": found.fps}
    row |= {"frames": found.frames}
    status, reasons = tables.OK, [found.broken] if found.broken else []
    if found.frames < min_frames:
        status, reasons = (
            tables.TOO_FEW_FRAMES,
            [f"{found.frames} frames; index.min_frames asks for {min_frames}", *reasons],
        )
    elif found.frames < found.declared:
        told = f"{found.frames} of the {found.declared} frames that the container declares are there"
        status, reasons = tables.TRUNCATED, [told, *reasons]
    elif found.broken:
        status, reasons = tables.TRUNCATED, [f"{found.frames} frames are there", *reasons]
    return row | {"status": status, "reason": "; ".join(reasons)}


def _claims(row: dict[str, Any], metadata: dict[str, Any], unit: str) -> dict[str, Any]:
    """Label and original as the metadata tells them, and a status where they can't be believed."""
    if unit.startswith("test/") or row["status"] == tables.NOT_A_VIDEO:
        return {"label": None, "original": None}
    name = row["video"]
    entry = metadata.get(name)
    label = claims.label(entry)
    if label is None:
        reason = f"{METADATA} gives it no label REAL or FAKE" if name in metadata else f"not named in {METADATA}"
        return {"label": None, "original": None} | _unless_worse(row, tables.BAD_METADATA, reason)
    if label == 0:
        return {"label": 0, "original": None}
    original = claims.original(name, entry)
    if original is None:
        reason = f"{METADATA} names no original for this fake"
        return {"label": 1, "original": None} | _unless_worse(row, tables.MISSING_ORIGINAL, reason)
    source = metadata.get(original)
    if isinstance(source, dict) and source.get("label") == "FAKE":
        reason = f"its original {original} is a fake itself"
        return {"label": 1, "original": original} | _unless_worse(row, tables.BAD_METADATA, reason)
    if source is None:
        reason = f"its original {original} is not in this part"
        return {"label": 1, "original": original} | _unless_worse(row, tables.MISSING_ORIGINAL, reason)
    return {"label": 1, "original": original}


def _unless_worse(row: dict[str, Any], status: str, reason: str) -> dict[str, Any]:
    # A file that can't be decoded stays so, whatever its metadata says; a break or a lie in its length gives way.
    if row["status"] not in tables.USABLE:
        return {}
    if row["reason"]:
        reason = f"{reason}; {row['reason']}"
    return {"status": status, "reason": reason}
