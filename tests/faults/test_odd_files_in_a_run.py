"""Files that are no files, or may not be read, in a workspace: the command line gives them rows, and never waits."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

import videos
from trueframe import tables
from trueframe.doctor.findings import trouble
from trueframe.errors import UserError
from trueframe.raw import Hashes, obstacle
from trueframe.workspace import Workspace
from workspaces import UNPRIVILEGED, call

PART = "data/raw/train/part_00"
LONG_NAME = "n" * 251 + ".mp4"
EXPECTED = {
    "pipe.mp4": (tables.NOT_A_VIDEO, "not a file that ends in"),
    "folder.mp4": (tables.NOT_A_VIDEO, "not a file that ends in"),
    "zeros.mp4": (tables.NOT_A_VIDEO, "not a file that ends in"),
    "dangling.mp4": (tables.MISSING_FILE, "a link to a file that is not there"),
    "bad_sector.mp4": (tables.DECODE_ERROR, "can't be read: Input/output error"),
    "secret.mp4": (tables.DECODE_ERROR, "can't be read: Permission denied"),
    "script.mp4": (tables.DECODE_ERROR, "in none of the formats"),
    "link.mp4": (tables.NO_FACE, "no face in 3 frames"),
    "new\nline $(touch pwned) '\".mp4": (tables.NO_FACE, "no face in 3 frames"),
    LONG_NAME: (tables.NO_FACE, "no face in 3 frames"),
    "-rf.MP4": (tables.NO_FACE, "no face in 3 frames"),
}


@pytest.fixture
def odd(raw: Path) -> Path:
    """A workspace whose first part has them all, with labels."""
    part = raw / PART
    videos.write(raw.parent / "outside.mp4")
    whole = (raw.parent / "outside.mp4").read_bytes()
    os.mkfifo(part / "pipe.mp4")
    (part / "folder.mp4").mkdir()
    (part / "zeros.mp4").symlink_to("/dev/zero")
    (part / "bad_sector.mp4").symlink_to("/proc/self/mem")  # reading its start is such an error
    (part / "dangling.mp4").symlink_to("nowhere.mp4")
    (part / "link.mp4").symlink_to(raw.parent / "outside.mp4")
    neighbour = next(path.name for path in part.glob("*.mp4") if path.is_file() and not path.is_symlink())
    (part / "script.mp4").write_text(f"ffconcat version 1.0\nfile {neighbour}\n")
    for name in ("secret.mp4", "new\nline $(touch pwned) '\".mp4", LONG_NAME, "-rf.MP4"):
        (part / name).write_bytes(whole)
    (part / "secret.mp4").chmod(0)
    metadata = json.loads((part / "metadata.json").read_text())
    (part / "metadata.json").write_text(json.dumps(metadata | {name: {"label": "REAL"} for name in EXPECTED}))
    return raw


def _stage(workspace: Path, stage: str) -> None:
    call(workspace, *UNPRIVILEGED, "timeout", "120", "trueframe", stage, "train/part_00", PYTHONPATH="src")


def _rows(workspace: Path, table: str) -> dict[str, dict[str, object]]:
    return {row["video"]: row for row in tables.read_rows(workspace / table)}


@pytest.mark.parametrize(
    "stages", [("index",), pytest.param(("index", "bboxes", "crops", "landmarks", "masks"), marks=pytest.mark.long)]
)
def test_the_command_line_gives_each_a_row_and_ends(odd: Path, stages: tuple[str, ...]) -> None:
    names = {path.name for path in odd.iterdir()}
    for stage in stages:
        _stage(odd, stage)
    last = "data/crops/train/part_00.videos.parquet" if len(stages) > 1 else "data/index/train/part_00.parquet"
    rows = _rows(odd, last)
    for name, (status, reason) in EXPECTED.items():
        if status == tables.NO_FACE and len(stages) == 1:
            status, reason = tables.OK, ""
        assert rows[name]["status"] == status, rows[name]
        assert str(rows[name]["reason"]).startswith(reason), rows[name]
    others = [row for name, row in rows.items() if name not in EXPECTED]
    assert {row["status"] for row in others} == {tables.OK}
    told = call(odd, *UNPRIVILEGED, "timeout", "60", "trueframe", "audit", "--verify", check=False, PYTHONPATH="src")
    assert "Traceback" not in told.stderr
    assert {path.name for path in odd.iterdir()} <= names | {".trueframe", "logs", "models", "reports"}
    print(f"{len(EXPECTED)} odd files through {', '.join(stages)}")


def test_what_may_be_read_again_is_read_anew(odd: Path) -> None:
    _stage(odd, "index")
    (odd / PART / "secret.mp4").chmod(0o644)
    assert Workspace(odd).reasons("index", "train/part_00") == ["input.secret.mp4"]
    _stage(odd, "index")
    assert _rows(odd, "data/index/train/part_00.parquet")["secret.mp4"]["status"] == tables.OK
    assert Workspace(odd).fresh("index", "train/part_00")


def test_a_disk_that_fails_is_told_and_reruns_nothing(raw: Path) -> None:
    (raw / PART / "bad_sector.mp4").symlink_to("/proc/self/mem")
    call(raw, "trueframe", "index", "train/part_00", PYTHONPATH="src")
    assert Workspace(raw).fresh("index", "train/part_00")
    assert "all is well" in call(raw, "trueframe", "doctor", "--offline", PYTHONPATH="src").stdout
    with pytest.raises(UserError, match=r"bad_sector\.mp4: can't be read \(Input/output error\); see whether its disk"):
        Hashes(raw).file(raw / PART / "bad_sector.mp4")
    found = trouble("records", OSError(errno.EIO, "Input/output error", "data/x.json"))
    assert found.advice == "see whether its disk is sound"


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_part_that_may_not_be_entered_is_told(raw: Path, mode: int) -> None:
    (raw / PART).chmod(mode)
    told = call(raw, *UNPRIVILEGED, "trueframe", "index", "train/part_00", check=False, PYTHONPATH="src")
    (raw / PART).chmod(0o755)
    assert told.returncode == 1
    message = f"trueframe: {raw / PART}: can't be read (Permission denied); give permission to read and enter it\n"
    assert told.stderr == message


def test_dvc_is_not_asked_to_take_what_it_would_wait_for(raw: Path) -> None:
    for unit in Workspace(raw).layout.units("index"):
        call(raw, "trueframe", "index", unit, PYTHONPATH="src")
    os.mkfifo(raw / "data/raw/train/pipe.mp4")
    told = call(raw, "timeout", "60", "trueframe", "commit", PYTHONPATH="src").stderr
    assert "DVC was not told of index: data/raw/train/pipe.mp4: a pipe or device, not a file" in told
    (raw / "data/raw/train/pipe.mp4").unlink()
    assert call(raw, "trueframe", "commit", PYTHONPATH="src").stderr == ""
    assert "index" in (raw / "dvc.lock").read_text()


def test_obstacles_are_told_by_their_kind(tmp_path: Path) -> None:
    folder = tmp_path / "data/raw/test/part"
    folder.mkdir(parents=True)
    (folder / "a.mp4").touch()
    assert obstacle(tmp_path) is None
    (folder / "b.mp4").symlink_to("a.mp4")
    assert obstacle(tmp_path) is None
    (folder / "b.mp4").unlink()
    (folder / "b.mp4").symlink_to("gone.mp4")
    assert obstacle(tmp_path) == "data/raw/test/part/b.mp4: a link to a file that is not there"
