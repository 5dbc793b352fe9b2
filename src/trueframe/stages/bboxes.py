"""bboxes: where the faces are in the sampled frames, and which of them are the same face."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import geometry, pool, tables, video

if TYPE_CHECKING:
    from trueframe.params import Bboxes
    from trueframe.tools import Tools

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What became of a video: its status with the reason, and its faces as rows without the video's name."""

    status: str
    reason: str
    faces: list[Row]


def run(
    *, unit: str, raw: Path, index: Path, boxes: Path, videos: Path, params: Bboxes, tools: Tools
) -> dict[str, int]:
    """Write a row per face (tables.BBOXES) and a row per video (tables.VIDEOS).

    A fake has the boxes of its original, frame for frame; where that is absent or of another size, faces are searched
    in the fake itself and its status says so.
    """
    rows = tables.read_rows(index)
    sources = {row["video"]: _source(row, rows) for row in rows}
    searched = [row for row in rows if sources[row["video"]] == row["video"]]
    found: dict[str, Result] = {}
    with tools.progress.task(len(searched), "videos") as advance:
        search = functools.partial(_search, raw, params, unit.partition("/")[0], tools.device)
        for row, result in zip(searched, pool.ordered(search, searched, tools.workers), strict=True):
            found[row["video"]] = result
            advance(1)
    results = {row["video"]: _result(row, sources[row["video"]], found) for row in rows}
    return {
        "boxes": tables.write(
            boxes, ({"video": name, **face} for name, result in results.items() for face in result.faces), tables.BBOXES
        ),
        "videos": tables.write(
            videos,
            (
                {"video": name, "status": result.status, "reason": result.reason, "items": len(result.faces)}
                for name, result in results.items()
            ),
            tables.VIDEOS,
        ),
    }


def sampled(kind: str, frames: int, params: Bboxes) -> list[int]:
    """Numbers of the frames to search: every n-th of a train video, n evenly spaced ones of a test video.

    Evenly spaced: the first and the last are among them, and each is the nearest to its place (halves round down).
    """
    if kind == "train":
        return list(range(0, frames, params.train.every_n_frames))
    count = min(params.test.frames, frames)
    if count == 1:
        return [0]
    return [((2 * step * (frames - 1)) + count - 2) // (2 * (count - 1)) for step in range(count)]


def scale_of(longest_px: int, params: Bboxes) -> float:
    """The scale at which a frame with this longest side is searched: the table's first row that fits."""
    return next((row.scale for row in params.scales if longest_px <= row.up_to_px), params.scale_above)


def _source(row: Row, rows: list[Row]) -> str | None:
    """The video whose frames are searched for this one's faces: itself, its original, or none."""
    if row["status"] not in tables.USABLE:
        return None
    if row["label"] != 1 or row["original"] is None:
        return str(row["video"])
    original = next((other for other in rows if other["video"] == row["original"]), None)
    size = ("width_px", "height_px")
    if original is None or original["status"] not in tables.USABLE or any(original[key] != row[key] for key in size):
        return str(row["video"])
    return str(original["video"])


def _search(raw: Path, params: Bboxes, kind: str, device: str, row: Row) -> Result:
    from trueframe import faces  # imports torch, which only the process that searches should pay for

    thresholds = tuple((params.train if kind == "train" else params.test).thresholds)
    scale = scale_of(max(row["width_px"], row["height_px"]), params)
    numbers, boxes, scores = [], [], []
    broken = ""
    try:
        for number, image in video.frames(raw / row["video"], sampled(kind, row["frames"], params)):
            seen = faces.find(image, scale, thresholds, params.min_face_px, device)
            numbers.append(number)
            boxes.append(seen.boxes)
            scores.append(seen.scores)
    except video.DecodeError as error:
        broken = str(error)
    tracks = geometry.link(boxes, params.track_overlap, params.track_gap)
    found = [
        {
            "frame": number,
            "track": track,
            **dict(zip(("x0", "y0", "x1", "y1"), map(float, box), strict=True)),
            "score": float(score),
        }
        for number, of_frame, frame_scores, frame_tracks in zip(numbers, boxes, scores, tracks, strict=True)
        for track, box, score in sorted(
            zip(frame_tracks, of_frame, frame_scores, strict=True), key=lambda face: face[0]
        )
    ]
    return _judged(row, len(numbers), found, broken)


def _judged(row: Row, frames: int, found: list[Row], broken: str) -> Result:
    if not frames:
        return Result(tables.DECODE_ERROR, broken or "no frame can be decoded", [])
    if not found:
        return Result(tables.NO_FACE, f"no face in {frames} frames" + (f"; {broken}" if broken else ""), [])
    if broken and row["status"] == tables.OK:
        return Result(tables.TRUNCATED, f"{frames} sampled frames decoded; {broken}", found)
    return Result(row["status"], row["reason"], found)


def _result(row: Row, source: str | None, found: dict[str, Result]) -> Result:
    if source is None:
        return Result(row["status"], row["reason"], [])
    if source != row["video"]:
        faces = [face for face in found[source].faces if face["frame"] < row["frames"]]
        if faces:
            return Result(row["status"], row["reason"], faces)
        why = f"none in the first {row['frames']} frames" if found[source].faces else found[source].reason
        return Result(tables.NO_FACE, f"its original {source} has no usable face: {why}", [])
    own = found[source]
    if row["original"] is not None and own.status == tables.OK:
        reason = (
            f"its original {row['original']} can't be used or is of another size: faces were found on the fake itself"
        )
        return Result(tables.MISSING_ORIGINAL, reason, own.faces)
    return own
