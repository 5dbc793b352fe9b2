"""A part through the stages that read its videos, with a detector that finds a face in every frame, and what a plain
reading of a video says.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import pytest

import fake_faces
import trueframe
from trueframe import archive, params, tables
from trueframe.tools import Tools
from workspaces import REPO

UNIT = "train/part"
STAGES = ("index", "bboxes", "crops", "landmarks", "masks")
PARAMS = params.load(REPO / "params.yaml")
Row = dict[str, Any]


@contextmanager
def faces_everywhere() -> Iterator[None]:
    """The stand-in for the detector, in this process."""
    module = fake_faces.module(fake_faces.one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "trueframe.faces", module)
        patch.setattr(trueframe, "faces", module, raising=False)
        yield


@dataclass(frozen=True)
class Made:
    """What the stages made of a part: rows by video, and of crops and masks the SHA-256 of each image by its name."""

    index: dict[str, Row]
    boxes: dict[str, list[Row]]
    boxes_status: dict[str, Row]
    crops: dict[str, str]
    crops_status: dict[str, Row]
    landmarks: dict[str, list[Row]]
    masks: dict[str, str]

    def of(self, video: str) -> dict[str, Any]:
        """All that there is about one video."""
        images = {
            kind: {name: digest for name, digest in found.items() if archive.parse_member(name)[0] == video}
            for kind, found in (("crops", self.crops), ("masks", self.masks))
        }
        rows = {name: getattr(self, name).get(video) for name in ("index", "boxes", "boxes_status", "crops_status")}
        return rows | images | {"landmarks": self.landmarks.get(video)}


def write_metadata(raw: Path, metadata: dict[str, Any]) -> None:
    """Write a part's metadata.json, unless it is there as it shall be."""
    path, text = raw / "metadata.json", json.dumps(metadata)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def stage(name: str, raw: Path, work: Path, tools: Tools) -> dict[str, int]:
    """Run a stage of STAGES on a part and what the earlier ones left in the folder `work`; returns what it made."""
    index, crops = {"index": work / "index"}, {"crops": work / "crops"}
    paths = {
        "index": {"raw": raw, "table": work / "index"},
        "bboxes": {"raw": raw, "boxes": work / "boxes", "videos": work / "boxes_status"} | index,
        "crops": {
            "raw": raw,
            "bboxes": work / "boxes",
            "bboxes_videos": work / "boxes_status",
            "archive": work / "crops",
            "videos": work / "crops_status",
        }
        | index,
        "landmarks": {"points": work / "landmarks"} | index | crops,
        "masks": {"archive": work / "masks", "table": work / "masks_table"} | index | crops,
    }
    run_stage = importlib.import_module(f"trueframe.stages.{name}").run
    made: dict[str, int] = run_stage(unit=UNIT, params=getattr(PARAMS, name), tools=tools, **paths[name])
    return made


def run(raw: Path, metadata: dict[str, Any], work: Path, device: str = "cpu") -> Made:
    """All of STAGES on a part, made in the folder `work`."""
    write_metadata(raw, metadata)
    work.mkdir()
    with faces_everywhere():
        for name in STAGES:
            stage(name, raw, work, Tools(device=device))
    assert not list(work.rglob("*.spool"))
    return Made(
        _one_each(work / "index"),
        _many_each(work / "boxes"),
        _one_each(work / "boxes_status"),
        _images(work / "crops"),
        _one_each(work / "crops_status"),
        _many_each(work / "landmarks"),
        _images(work / "masks"),
    )


def _one_each(table: Path) -> dict[str, Row]:
    rows = tables.read_rows(table)
    assert len({row["video"] for row in rows}) == len(rows)
    return {row["video"]: row for row in rows}


def _many_each(table: Path) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in tables.read_rows(table):
        found.setdefault(row["video"], []).append(row)
    return found


def _images(path: Path) -> dict[str, str]:
    return {name: sha256(data).hexdigest() for name, data in archive.images(path)}


@dataclass(frozen=True)
class Plain:
    """What a plain loop over a file finds.

    packets: whole ones that are not hidden, up to the end or to where reading breaks off; frames: those that decode, up
    to the first error; why: that error, or why the file does not open, else "".
    """

    packets: int
    frames: int
    why: str


def plainly(path: Path) -> Plain:
    """Read all packets, and decode all frames, without the product's code."""
    try:
        with av.open(str(path), metadata_errors="replace") as file:
            if not file.streams.video or file.streams.video[0].codec_context is None:
                return Plain(0, 0, "no decoder for its video stream" if file.streams.video else "no video stream")
            packets, _ = _counted(
                1 for packet in file.demux(video=0) if packet.size and not packet.is_corrupt and not packet.is_discard
            )
        with av.open(str(path), metadata_errors="replace") as file:
            file.streams.video[0].codec_context.thread_count = 1
            frames, why = _counted(file.decode(video=0))
    except av.error.FFmpegError as error:
        return Plain(0, 0, f"can't be decoded: {error.strerror}")
    return Plain(packets, frames, why)


def _counted(things: Iterator[object]) -> tuple[int, str]:
    """How many there are, and why they break off."""
    count = 0
    try:
        for _ in things:
            count += 1
    except av.error.FFmpegError as error:
        return count, f"can't be decoded: {error.strerror}"
    return count, ""


def contents(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that a folder holds: of each file its bytes, size, mode and time of change, of a link its target."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        told: object = None
        if path.is_symlink():
            told = path.readlink()
        elif path.is_file():
            told = sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (state.st_mode, state.st_size, state.st_mtime_ns, told)
    return found
