"""`trueframe doctor` on the disk: what a run will take, and what can't be written."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from examination import only
from trueframe.dag import STAGES
from trueframe.doctor import disk
from trueframe.doctor.case import Case
from trueframe.workspace import Workspace
from workspaces import UNPRIVILEGED, call, edit_params


@pytest.mark.parametrize("stage", ["crops", "masks", "models"])
def test_what_a_run_may_take_is_what_its_stages_took(well: Path, stage: str) -> None:
    workspace = Workspace(well)
    unit = workspace.layout.units(stage)[0]
    took = sum(
        output.size
        for name in workspace.layout.units(stage)
        for record in [workspace.record(stage, name)]
        if record is not None
        for output in record.outputs.values()
    )
    (well / STAGES[stage].record_path(unit)).write_text("{}")
    if stage == "models":  # its only seed: another takes as much, where one is known
        shutil.copytree(well / "models/1", well / "models/2")
        edit_params(well, {"models.seeds": [1, 2]})
    found = disk.estimate(Case(well))
    assert set(found.stages) >= {stage, "submission"}
    if stage == "models":
        assert found.unknown == ["models"]
        return
    assert found.unknown == found.guessed == []
    assert 0.1 * took < found.stages[stage] < 0.9 * took  # one of two or three parts


def test_a_disk_without_the_room_is_told_and_symlinks_need_less(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_params(well, {"crops.margin": 0.25})
    needed = sum(disk.estimate(Case(well)).stages.values())
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(needed // 2))
    one = only(well, "disk space")
    assert one.state == "bad"
    assert "cache.type symlink" in one.advice
    assert "by what the made ones took" in one.detail
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(needed * 2))
    copied = only(well, "disk space").detail
    (well / ".dvc/config").write_text("[cache]\n    type = symlink\n")
    assert only(well, "disk space").detail != copied


def test_a_video_that_is_new_counts_for_the_cache(well: Path) -> None:
    assert disk.estimate(Case(well)).raw == 0
    video = well / "data/raw/test/part_00/new.mp4"
    video.write_bytes(b"x" * 12345)
    assert disk.estimate(Case(well)).raw == 12345


def test_videos_too_many_to_hash_count_as_changed_and_are_not_read(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueframe.doctor.case._HASHED_BYTES", 0)
    shutil.rmtree(well / ".dvc/tmp")
    assert {unit for stage, unit in Case(well).stale if stage == "index"} == set(Workspace(well).layout.parts("every"))


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("data", "data/index/train", "models/1", ".snakemake/units/crops/train", ".dvc", ".dvc/tmp"), "folders"),
        ((".dvc/cache/files/md5",), "DVC's cache"),
    ],
)
def test_folders_that_cant_be_written_are_told(finished: Path, names: tuple[str, ...], what: str) -> None:
    folders = [finished / name for name in names]
    for folder in folders:
        folder.chmod(0o555)
    try:
        words = (*UNPRIVILEGED, "python", "-m", "trueframe", "doctor", "--json")
        told = call(finished, *words, check=False, PYTHONPATH="src").stdout
    finally:
        for folder in folders:
            folder.chmod(0o755)
    (bad,) = [one for one in json.loads(told)["findings"] if one["state"] == "bad"]
    assert bad["what"] == what
    assert str(folders[0]) in bad["detail"]
    assert not bad["paths"] or set(bad["paths"]) == set(map(str, folders))
