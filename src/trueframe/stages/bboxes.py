"""bboxes: where the faces are in the sampled frames, and which of them are the same face."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import devices, geometry, pool, tables, video

if TYPE_CHECKING:
    from trueframe import faces
    from trueframe.params import Bboxes
    from trueframe.tools import Tools

Row = dict[str, Any]

_BATCH = 16  # frames that a GPU is given at once: with one waiting for each thread, 50 MB a thread at 960×540


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
    by_name = {row["video"]: row for row in rows}
    sources = {row["video"]: _source(row, by_name) for row in rows}
    searched = [row for row in rows if sources[row["video"]] == row["video"]]
    found: dict[str, Result] = {}
    if searched:  # a part without a usable video does without the nets
        with tools.progress.task(len(searched), "videos") as advance:
            search = _Search(raw, params, unit.partition("/")[0])
            for row, result in zip(searched, _results(search, searched, tools), strict=True):
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


def _source(row: Row, rows: Mapping[str, Row]) -> str | None:
    """The video whose frames are searched for this one's faces: itself, its original, or none."""
    if row["status"] not in tables.USABLE:
        return None
    if row["label"] != 1 or row["original"] is None:
        return str(row["video"])
    original = rows.get(row["original"])
    size = ("width_px", "height_px")
    if original is None or original["status"] not in tables.USABLE or any(original[key] != row[key] for key in size):
        return str(row["video"])
    return str(original["video"])


@dataclass(frozen=True)
class _Search:
    """Where and how a part's faces are searched."""

    raw: Path
    params: Bboxes
    kind: str

    @property
    def thresholds(self) -> tuple[float, ...]:
        return tuple((self.params.train if self.kind == "train" else self.params.test).thresholds)

    def pictures(self, row: Row) -> Iterator[tuple[int, tuple[int, ...], faces.Picture]]:
        """The sampled frames of a video: number, shape and what is searched.

        Raises video.DecodeError where it breaks off.
        """
        from trueframe import faces

        scale = scale_of(max(row["width_px"], row["height_px"]), self.params)
        path = video.inside(self.raw, row["video"])
        for number, image in video.frames(path, sampled(self.kind, row["frames"], self.params)):
            yield number, image.shape, faces.picture(image, scale)

    def find(self, nets: faces.Nets, pictures: Sequence[faces.Picture]) -> list[faces.Faces]:
        """The faces of some frames of one size."""
        from trueframe import faces

        return faces.find(nets, pictures, self.thresholds, self.params.min_face_px)

    def result(self, row: Row, numbers: list[int], seen: list[faces.Faces], broken: str) -> Result:
        """What became of a video whose frames `numbers` were searched."""
        tracks = geometry.link([of_frame.boxes for of_frame in seen], self.params.track_overlap, self.params.track_gap)
        found = [
            {
                "frame": number,
                "track": track,
                **dict(zip(("x0", "y0", "x1", "y1"), map(float, box), strict=True)),
                "score": float(score),
            }
            for number, of_frame, frame_tracks in zip(numbers, seen, tracks, strict=True)
            for track, box, score in sorted(
                zip(frame_tracks, of_frame.boxes, of_frame.scores, strict=True), key=lambda face: face[0]
            )
        ]
        wanted = len(sampled(self.kind, row["frames"], self.params))
        if 0 < len(numbers) < wanted and not broken:  # a decoder may leave out in silence what is damaged
            broken = f"{wanted} were wanted"
        return _judged(row, len(numbers), found, broken)


def _results(search: _Search, rows: list[Row], tools: Tools) -> Iterator[Result]:
    """The result of each video: on a CPU by a pool, on a GPU by this process while others decode."""
    device = devices.resolved(tools.device)
    if device == devices.CPU:
        yield from pool.ordered(functools.partial(_on_cpu, search), rows, tools.workers)
    else:
        yield from _in_batches(search, device, rows, tools.workers)


def _on_cpu(search: _Search, row: Row) -> Result:
    """A video's result, one frame in memory at a time."""
    from trueframe import faces  # imports what takes seconds, so only where faces are searched

    nets = faces.nets(devices.CPU)
    numbers: list[int] = []
    seen: list[faces.Faces] = []
    broken = ""
    try:
        for number, _, picture in search.pictures(row):
            seen += search.find(nets, [picture])
            numbers.append(number)
    except video.DecodeError as error:
        broken = str(error)
    return search.result(row, numbers, seen, broken)


def _in_batches(search: _Search, device: str, rows: list[Row], workers: int) -> Iterator[Result]:
    """Each video's result, by nets in this process. Threads decode ahead; a batch holds frames of one video alone, so
    that it is the same whoever decodes.
    """

    from trueframe import faces

    def batches(row: Row) -> Iterator[tuple[list[int], list[faces.Picture], str]]:
        numbers: list[int] = []
        pictures: list[faces.Picture] = []
        size: tuple[int, ...] = ()
        broken = ""
        try:
            for number, of_frame, picture in search.pictures(row):
                if pictures and (len(pictures) == _BATCH or of_frame != size):  # a stream's pictures may grow midway
                    yield numbers, pictures, ""
                    numbers, pictures = [], []
                size = of_frame
                numbers.append(number)
                pictures.append(picture)
        except video.DecodeError as error:
            broken = str(error)
        yield numbers, pictures, broken

    nets = faces.nets(device)
    for row, parts in zip(rows, pool.streams(batches, rows, workers), strict=True):
        numbers: list[int] = []
        seen: list[faces.Faces] = []
        broken = ""
        for of_batch, pictures, reason in parts:
            seen += search.find(nets, pictures)
            numbers += of_batch
            broken = reason
        yield search.result(row, numbers, seen, broken)


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
