"""Thumbnails of a part's crops for the audit page, and the folds of the videos, both from the table of folds."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from trueframe import archive, headers
from trueframe.audit.html.videos import Places
from trueframe.audit.snapshot import Snapshot
from trueframe.dag import STAGES
from trueframe.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_PART = 12
_IN_ALL = 240  # at some 2 kB each half a megabyte; from 240 parts on there is one of each
_SIDE_PX = 96  # 72 in the layout, and not blurred on a finer screen
_QUALITY = 70
_COLUMNS = ["part", "video", "frame", "track", "offset", "size", "fold"]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Face:
    """A crop and where its bytes lie in its part's archive."""

    video: str
    frame: int
    track: int
    offset: int
    size: int


@dataclass(frozen=True)
class Dealt:
    """A train video's fold and the crop in its middle."""

    fold: int
    face: Face


def dealt(snapshot: Snapshot) -> dict[tuple[str, str], Dealt]:
    """Part and name to fold and middle crop, of each video in the table of folds; empty where that is not here."""
    table = snapshot.table(STAGES["folds"].outputs["table"], _COLUMNS)
    if table is None or ("folds", "all") not in snapshot.records:
        return {}
    starts = _starts(*(_codes(table[name]) for name in ("part", "video")))
    ends = [*starts[1:], table.num_rows]
    middles = table.take([(start + end) // 2 for start, end in zip(starts, ends, strict=True)]).to_pylist()
    return {
        (row["part"], row["video"]): Dealt(
            row["fold"], Face(row["video"], row["frame"], row["track"], row["offset"], row["size"])
        )
        for row in middles
    }


def _codes(column: Any) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = column.combine_chunks().dictionary_encode().indices.to_numpy()
    return codes


def _starts(*columns: NDArray[np.int64]) -> list[int]:
    """Where rows begin that differ in a column from the row before."""
    changed = np.any([np.diff(column, prepend=-1) != 0 for column in columns], axis=0)
    return [int(row) for row in np.flatnonzero(changed)]


def faces(
    snapshot: Snapshot, parts: Sequence[str], places: Places, dealt: Mapping[tuple[str, str], Dealt]
) -> list[dict[str, Any]]:
    """Some crops of each part, of videos that lie evenly over it, as small WebPs.

    row: the video's in `places`; image: base64, None where the crop's bytes are no image.
    """
    count = max(1, min(_PER_PART, _IN_ALL // max(1, len(parts))))
    middles: dict[str, list[Face]] = {}
    for (part, _), one in dealt.items():
        middles.setdefault(part, []).append(one.face)
    return [face for part in parts for face in _of_part(snapshot, part, middles.get(part, []), count, places)]


def _of_part(
    snapshot: Snapshot, part: str, known: Sequence[Face], count: int, places: Places
) -> Iterator[dict[str, Any]]:
    """known: the crops that the table of folds has of this part, if any; they spare reading a large directory."""
    path = STAGES["crops"].outputs["archive"].format(unit=part)
    place = snapshot.locate(path)
    record = snapshot.records.get(("crops", part))
    if place is None or record is None or path not in record.outputs:
        return
    # The offsets of an older archive are not this one's.
    digest = f"sha256:{record.outputs[path].sha256}"
    current = bool(known) and snapshot.records["folds", "all"].recipe.inputs.get(path) == digest
    listed = known if current else _middles(place)
    with archive.Reader(place) as reader:
        for face in _spread([face for face in listed if (part, face.video) in places], count):
            row = places[part, face.video]
            yield {"row": row, "frame": face.frame, "track": face.track, "image": _small(reader, face)}


def _middles(place: Path) -> list[Face]:
    """The crop in the middle of each video of an archive, by its directory."""
    try:
        members = archive.members(place)
    except UserError:
        return []  # as in _small
    videos: dict[str, list[Face]] = {}
    for member in members:
        video, frame, track = archive.parse_member(member.name)
        videos.setdefault(video, []).append(Face(video, frame, track, member.offset, member.size))
    return [several[len(several) // 2] for several in videos.values()]


def _spread(items: Sequence[_Item], count: int) -> Sequence[_Item]:
    """At most `count` of the items, evenly far from one another."""
    if len(items) <= count:
        return items
    return [items[(2 * number + 1) * len(items) // (2 * count)] for number in range(count)]


def _small(reader: archive.Reader, face: Face) -> str | None:
    from PIL import Image

    try:
        data = reader.read(face.offset, face.size)
        headers.size_px(data)
        image = Image.open(io.BytesIO(data)).convert("RGB")
    except (UserError, ValueError, OSError):
        return None  # a damaged archive: `trueframe audit --verify` names it, and the page must still be written
    image.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY)
    return base64.b64encode(file.getvalue()).decode()
