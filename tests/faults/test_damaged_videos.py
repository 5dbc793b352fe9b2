"""Every damaged or odd video ends as ok or as a status with the true reason, and nothing else is touched."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import damage
import parts
import videos
from parts import Made, Plain
from trueframe import devices, tables
from trueframe.stages import bboxes

REAL = {"label": "REAL", "split": "train"}
NEIGHBOURS: dict[str, dict[str, str]] = {
    "neighbour_0.mp4": REAL,
    "neighbour_1.mp4": {"label": "FAKE", "split": "train", "original": "neighbour_0.mp4"},
    "zz_neighbour.mkv": REAL,
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A part with good videos: a real one, a fake made from it, and another."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in NEIGHBOURS:
        videos.write(folder / name, videos.moving(30))
    return folder


def _check_told(made: Made, name: str) -> tuple[str, str]:
    """The last status of a video and its reason, after a look at all that is told of it."""
    rows = [made.index[name], made.boxes_status[name], made.crops_status[name]]
    for row in rows:
        assert bool(row["reason"]) == (row["status"] != tables.OK), row
        assert str(damage.__file__) not in row["reason"]
    faces, images = made.boxes.get(name, []), made.of(name)["crops"]
    assert (rows[1]["items"], rows[2]["items"]) == (len(faces), len(images))
    assert bool(images) == (rows[2]["status"] in tables.USABLE), rows
    return rows[2]["status"], rows[2]["reason"]


def _check_neighbours(made: Made, alone: Made) -> None:
    for name in NEIGHBOURS:
        assert _check_told(made, name) == (tables.OK, "")
        assert made.of(name) == alone.of(name)


@pytest.mark.timeout(300)
def test_an_odd_file_has_its_status_and_leaves_its_neighbours_alone(raw: Path, tmp_path: Path) -> None:
    alone = parts.run(raw, NEIGHBOURS, tmp_path / "alone")
    world = tmp_path / "world"
    world.mkdir()
    raw = raw.rename(world / "raw")
    odd = damage.odd(raw, world / "outside.mp4")
    metadata = NEIGHBOURS | {case.name: REAL for case in odd}
    parts.write_metadata(raw, metadata)
    before = parts.contents(world)
    made = parts.run(raw, metadata, tmp_path / "made")
    assert parts.contents(world) == before
    assert made.index.keys() == metadata.keys()
    wrong = []
    for case in odd:
        told = _check_told(made, case.name)
        frames = made.index[case.name]["frames"]
        if told != (case.status, case.reason) or (made.index[case.name]["codec"] and frames != case.frames):
            wrong.append((case.name, told, frames))
    print(f"{len(odd)} odd files: {dict(Counter(case.status for case in odd))}")
    assert wrong == []
    _check_neighbours(made, alone)
    assert made.of("link.mp4")["crops"]


def _check_true(made: Made, name: str, plain: Plain) -> str:
    """What is told of a video must be what a plain reading finds; returns its last status."""
    index, boxes, crops = made.index[name], made.boxes_status[name], made.crops_status[name]
    _check_told(made, name)
    if index["status"] == tables.DECODE_ERROR:
        assert plain.frames == 0, (name, index, plain)
        why = plain.why or "no frame can be decoded"
        reasons = (why, damage.NO_FORMAT, *([damage.NO_SIZE] if why.endswith("Invalid argument") else []))
        assert index["reason"] in reasons, (name, index, plain)
        return str(crops["status"])
    assert index["frames"] == plain.packets, (name, index, plain)
    if index["status"] == tables.TOO_FEW_FRAMES:
        assert plain.packets < parts.PARAMS.index.min_frames
        return str(crops["status"])
    wanted = bboxes.sampled("train", index["frames"], parts.PARAMS.bboxes)
    there = [number for number in wanted if number < plain.frames]
    assert [face["frame"] for face in made.boxes.get(name, [])] == there, (name, boxes, plain)
    if not there:
        assert boxes["status"] == tables.DECODE_ERROR
    elif there != wanted:
        assert boxes["status"] == tables.TRUNCATED, (name, boxes, plain)
    else:
        assert (boxes["status"], boxes["reason"]) == (index["status"], index["reason"])
    if there != wanted and index["status"] == tables.OK:
        assert boxes["reason"].endswith(plain.why), (name, boxes, plain)
    assert [crops[key] for key in ("status", "reason", "items")] == [boxes["status"], boxes["reason"], len(there)]
    return str(crops["status"])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [320, pytest.param(5000, marks=pytest.mark.long)])
def test_what_is_told_of_a_damaged_video_is_what_a_plain_reading_finds(raw: Path, tmp_path: Path, count: int) -> None:
    alone = parts.run(raw, NEIGHBOURS, tmp_path / "alone")
    (tmp_path / "good").mkdir()
    clips = damage.good(tmp_path / "good")
    paths = damage.damaged(raw, clips, count, seed=count)
    metadata: dict[str, Any] = NEIGHBOURS | {path.name: REAL for path in paths}
    parts.write_metadata(raw, metadata)
    before = parts.contents(tmp_path)
    made = parts.run(raw, metadata, tmp_path / "made")
    assert before.items() <= parts.contents(tmp_path).items()
    found = Counter[tuple[str, str]]()
    for path in paths:
        found[path.name.split("_")[1], _check_true(made, path.name, parts.plainly(path))] += 1
    print(f"{count} damaged files of {len(clips)} good ones:")
    for (kind, status), number in sorted(found.items()):
        print(f"  {kind:15} {status:15} {number}")
    _check_neighbours(made, alone)
    assert {status for _, status in found} >= {tables.OK, tables.TRUNCATED, tables.DECODE_ERROR}


def test_every_good_clip_is_read(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    (tmp_path / "raw").mkdir()
    clips = damage.good(tmp_path / "raw")
    made = parts.run(tmp_path / "raw", {path.name: REAL for path in clips}, tmp_path / "made")
    print(f"{len(clips)} good clips: {' '.join(path.name for path in clips)}")
    for path in clips:
        assert _check_told(made, path.name) == (tables.OK, "")
        assert made.index[path.name]["frames"] == damage.FRAMES
    assert os.sched_getscheduler(0) == before  # or all tests that follow are slow


def test_pictures_that_grow_midway_share_no_batch_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "resolved", lambda device: device)
    (tmp_path / "raw").mkdir()
    (case,) = (case for case in damage.ODD if case.name == "sizes.mp4")
    case.write(tmp_path / "raw" / case.name)
    found = [parts.run(tmp_path / "raw", {case.name: REAL}, tmp_path / device, device) for device in ("cpu", "cuda")]
    assert found[0] == found[1]
    assert {face["x0"] for face in found[0].boxes[case.name]} == {96 / 4, 192 / 4}
