"""crops: the image of every face, lossless, in one archive per part."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from trueframe import archive as archives
from trueframe import geometry, images, pool, tables, video

if TYPE_CHECKING:
    from trueframe.params import Crops
    from trueframe.tools import Tools

Row = dict[str, Any]


@dataclass(frozen=True)
class _Task:
    """A video and its faces; its images go to the file `spool`, one behind the other."""

    path: Path
    faces: list[Row]
    spool: Path


@dataclass(frozen=True)
class _Cut:
    """Names and sizes of the images in a spool file, and why decoding broke off, if it did."""

    members: list[tuple[str, int]]
    broken: str


def run(
    *,
    unit: str,
    raw: Path,
    index: Path,
    bboxes: Path,
    bboxes_videos: Path,
    archive: Path,
    videos: Path,
    params: Crops,
    tools: Tools,
) -> dict[str, int]:
    """Write a stored zip of WebPs `<video>/<frame>_<track>.webp` and a row per video (tables.VIDEOS).

    A crop is the box with the margin, cut at the frame's edge. The index is read for what it stands for: a fake of new
    content has its original's boxes as before, and other crops. Memory stays flat: a video's crops wait on disk,
    beside the archive, until their turn comes.
    """
    faces: dict[str, list[Row]] = {}
    for face in tables.read_rows(bboxes):
        faces.setdefault(face["video"], []).append(face)
    statuses = tables.read_rows(bboxes_videos)
    spool = archive.with_name(f"{archive.name}.spool")
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir()
    tasks = [
        _Task(video.inside(raw, name), found, spool / str(number))
        for number, (name, found) in enumerate(sorted(faces.items()))
    ]
    cuts: dict[str, _Cut] = {}
    with archives.Writer(archive) as writer, tools.progress.task(len(tasks), "videos") as advance:
        cut = functools.partial(_cut, params)
        for task, result in zip(tasks, pool.ordered(cut, tasks, tools.workers), strict=True):
            for name, data in _images(task.spool, result.members):
                writer.add(name, data)
            task.spool.unlink()
            cuts[task.path.name] = result
            advance(1)
    spool.rmdir()
    rows = [_status(row, cuts.get(row["video"])) for row in statuses]
    return {"archive": writer.count, "videos": tables.write(videos, rows, tables.VIDEOS)}


def _cut(params: Crops, task: _Task) -> _Cut:
    cv2.setNumThreads(1)
    by_frame: dict[int, list[Row]] = {}
    for face in task.faces:
        by_frame.setdefault(face["frame"], []).append(face)
    members: list[tuple[str, int]] = []
    broken, there = "", 0
    with task.spool.open("wb") as file:
        try:
            for number, image in video.frames(task.path, sorted(by_frame)):
                there += 1
                for face in sorted(by_frame[number], key=lambda face: int(face["track"])):
                    data = _image(image, face, params)
                    if data:
                        file.write(data)
                        name = archives.member_name(task.path.name, number, face["track"], images.CROP)
                        members.append((name, len(data)))
        except video.DecodeError as error:
            broken = str(error)
    if 0 < there < len(by_frame) and not broken:  # a decoder may leave out in silence what is damaged
        broken = f"{there} of the {len(by_frame)} frames with faces can be decoded"
    return _Cut(members, broken)


def _image(image: Any, face: Row, params: Crops) -> bytes:
    height_px, width_px = image.shape[:2]
    box = [face[key] for key in ("x0", "y0", "x1", "y1")]
    x0, y0, x1, y1 = geometry.with_margin(box, params.margin, width_px, height_px)
    if x0 == x1 or y0 == y1:
        return b""  # a box outside the frame: MTCNN may guess one at the edge
    return images.webp(image[y0:y1, x0:x1], params.webp_method)


def _images(spool: Path, members: list[tuple[str, int]]) -> Iterator[tuple[str, bytes]]:
    with spool.open("rb") as file:
        for name, size in members:
            yield name, file.read(size)


def _status(row: Row, cut: _Cut | None) -> Row:
    if cut is None:
        return row | {"items": 0}
    items = len(cut.members)
    if not items:
        return row | {"status": tables.DECODE_ERROR, "reason": cut.broken or "no frame with a face decodes", "items": 0}
    if cut.broken and row["status"] == tables.OK:
        return row | {"status": tables.TRUNCATED, "reason": cut.broken, "items": items}
    return row | {"items": items}
