"""landmarks: five points on every crop of a real video. A fake's are its original's."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import archive as archives
from trueframe import devices, images, pool, tables

if TYPE_CHECKING:
    from trueframe.params import Landmarks
    from trueframe.tools import Tools

Row = dict[str, Any]


def run(*, unit: str, index: Path, crops: Path, points: Path, params: Landmarks, tools: Tools) -> dict[str, int]:
    """Write a row per crop of a real video (tables.LANDMARKS): two eyes, nose, two mouth corners, in whole pixels."""
    real = {row["video"] for row in tables.read_rows(index, ["video", "label"]) if row["label"] == 0}
    members = [member for member in archives.members(crops) if archives.parse_member(member.name)[0] in real]
    videos = [list(group) for _, group in groupby(members, key=lambda member: archives.parse_member(member.name)[0])]
    rows: list[Row] = []
    if videos:  # a part without a real face does without the nets
        with tools.progress.task(len(videos), "videos") as advance:
            for found in _results(crops, params, videos, tools):
                rows += found
                advance(1)
    return {"points": tables.write(points, rows, tables.LANDMARKS)}


def _results(crops: Path, params: Landmarks, videos: list[list[archives.Member]], tools: Tools) -> Iterator[list[Row]]:
    """The rows of each video: on a CPU by a pool, on a GPU by this process."""
    device = devices.resolved(tools.device)
    search = functools.partial(_search, crops, params, device)
    return pool.ordered(search, videos, tools.workers if device == devices.CPU else 1)


def _search(crops: Path, params: Landmarks, device: str, members: list[archives.Member]) -> list[Row]:
    from trueframe import faces  # imports what takes seconds, so only where faces are searched

    nets = faces.nets(device)
    rows = []
    with archives.Reader(crops) as reader:
        for member in members:
            image = images.read(reader, member.offset, member.size)
            (seen,) = faces.find(nets, [faces.picture(image, 1.0)], tuple(params.thresholds), params.min_face_px)
            video, frame, track = archives.parse_member(member.name)
            row: Row = {"video": video, "frame": frame, "track": track, "found": bool(len(seen.boxes))}
            if row["found"]:
                # The largest face is the crop's own; MTCNN gives it first.
                row |= dict(
                    zip(tables.LANDMARK_COLUMNS, seen.points[0].round().astype(int).ravel().tolist(), strict=True)
                )
            rows.append(row)
    return rows
