"""`trueframe doctor` on what runs left behind, and on what is at work."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from examination import found, only, troubles
from trueframe.doctor import checkup
from trueframe.workspace import Workspace
from workspaces import as_another, edit_params


def test_temporary_files_of_killed_runs_are_told_each(well: Path) -> None:
    names = (
        ".params.yaml.partial",
        "data/.withdrawn.csv.partial",
        "data/.raw-abc123/a.mp4",
        "data/crops/train/.part_00.zip.partial",
        "data/crops/train/.part_00.zip.partial.spool/0",
        "models/1/.weights_1.safetensors.partial",
        "reports/evaluation/.roc.png.partial",
        ".trueframe/partial/models/1/d/.state.safetensors.partial",
    )
    for name in names:
        (well / name).parent.mkdir(parents=True, exist_ok=True)
        (well / name).write_bytes(b"12345")
    one = only(well, "temporary files")
    assert one.state == "warn"
    folders = {"data/.raw-abc123/a.mp4": "data/.raw-abc123", names[4]: names[4].removesuffix("/0")}
    assert sorted(one.paths) == sorted(folders.get(name, name) for name in names)
    assert f"{len(names)} of killed runs, 40 B" in one.detail
    assert one.advice.startswith("run `rm -r ")


def test_temporary_files_at_work_are_left_alone(well: Path) -> None:
    path = well / "data/crops/train/.part_00.zip.partial"
    path.with_name(f"{path.name}.spool").mkdir()
    with path.open("wb"):
        assert only(well, "temporary files").state == "ok"
    assert only(well, "temporary files").state == "warn"


def test_a_run_at_work_is_no_leftover(well: Path) -> None:
    (well / ".snakemake/owed").touch()
    (well / "data/crops/train/.part_00.zip.partial").touch()
    program = (
        "import sys, time; from pathlib import Path; from trueframe.engine import Engine; "
        "engine = Engine(Path.cwd(), False, {}); engine.start(); print(flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", program], cwd=well, stdout=subprocess.PIPE)
    try:
        assert run.stdout is not None
        run.stdout.readline()
        findings = checkup.examine(well)
        assert troubles(findings) == set()
        assert str(run.pid) in next(one.detail for one in findings if one.what == "locks")
    finally:
        run.kill()
        run.communicate()
    assert troubles(checkup.examine(well)) == {("temporary files", "warn"), ("DVC's lock", "warn")}


def test_a_number_that_another_program_has_now_is_no_run_at_work(well: Path) -> None:
    (well / ".snakemake/owed").touch()
    (well / "data/crops/train/.part_00.zip.partial").touch()
    run = subprocess.Popen([sys.executable, "-c", "input()", "snakemake"], stdin=subprocess.PIPE)
    try:
        (well / ".snakemake/trueframe.lock").write_text(f"{run.pid}\n")
        findings = checkup.examine(well)
    finally:
        run.communicate(b"\n")
    assert troubles(findings) == {("temporary files", "warn"), ("DVC's lock", "warn")}


def test_asking_holds_no_lock(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that starts meanwhile would be told that another is at work."""
    tried: list[object] = []
    monkeypatch.setattr(fcntl, "flock", lambda *words: tried.append(words))
    checkup.examine(well)
    assert tried == []


def test_a_run_that_ended_before_dvc_was_told_is_told(well: Path) -> None:
    (well / ".snakemake/owed").touch()
    one = only(well, "DVC's lock")
    assert one.state == "warn"
    assert "trueframe commit" in one.advice


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not as DVC writes it"),
        ("[]", "not as DVC writes it"),
        (json.dumps({"write": {"a": {"pid": os.getppid(), "cmd": "dvc repro"}}}), f"process {os.getppid()}"),
        (json.dumps({"read": {"a": [{"pid": os.getppid(), "cmd": "dvc repro"}]}}), f"process {os.getppid()}"),
        (json.dumps({"write": {"a": {"pid": 4_000_000, "cmd": "dvc repro"}}, "read": {}}), ""),
        ("{}", ""),
    ],
)
def test_a_lock_of_dvcs_that_nobody_holds_is_told(well: Path, text: str, told: str) -> None:
    (well / ".dvc/tmp/rwlock").write_text(text)
    one = only(well, "locks")
    assert one.state == ("bad" if told else "ok")
    assert told in one.detail
    if told:
        assert "rm .dvc/tmp/rwlock" in one.advice


def test_a_lock_of_snakemakes_is_told(well: Path) -> None:
    (well / ".snakemake/locks").mkdir(exist_ok=True)
    (well / ".snakemake/locks/0.input.lock").touch()
    one = only(well, "locks")
    assert one.state == "warn"
    assert "snakemake --unlock" in one.advice


def test_checkpoints_are_told_by_what_they_are_good_for(well: Path) -> None:
    base = well / ".trueframe/partial/models"
    for name in ("1/old", "7/gone"):
        (base / name).mkdir(parents=True)
        (base / name / "state.safetensors").write_bytes(b"123")
    one = only(well, "checkpoints")
    assert one.state == "warn"
    assert "2 folders of finished trainings" in one.detail
    assert "6 B" in one.detail
    assert "trueframe commit" in one.advice

    edit_params(well, {"models.epochs": 3})
    digest = Workspace(well).recipe("models", "1").digest
    (base / "1" / digest).mkdir()
    kept, gone, other = found(well, "checkpoints")
    assert (kept.state, "1 training will go on" in kept.detail) == ("ok", True)
    assert (gone.state, "1 folder of finished trainings" in gone.detail) == ("warn", True)
    assert (other.state, other.paths) == ("warn", (".trueframe/partial/models/1/old",))


def test_what_removed_parts_and_seeds_left_is_told(well: Path) -> None:
    as_another(well, "models", "1", "9")
    for marker in ("units/crops/train/part_09", "stale/crops/train/part_09/no_record", "stale/models/9/code.a.py"):
        (well / ".snakemake" / marker).parent.mkdir(parents=True, exist_ok=True)
        (well / ".snakemake" / marker).touch()
    files, markers = found(well, "removed units")
    assert (files.state, markers.state) == ("warn", "warn")
    assert {Path(path).parent.name for path in files.paths} == {"9"}
    assert "trueframe prune models" in files.advice
    assert set(markers.paths) == {
        ".snakemake/units/crops/train/part_09",
        ".snakemake/stale/crops/train/part_09",
        ".snakemake/stale/models/9",
    }


def test_a_record_of_another_format_is_told_with_what_to_do(well: Path) -> None:
    (well / "data/crops/train/part_00.json").write_bytes(b'{"format": 99}')
    one = only(well, "records")
    assert one.state == "bad"
    assert "data/crops/train/part_00.json" in one.detail
    assert "git pull" in one.advice or "git pull" in one.detail


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_a_record_that_is_none_is_told(well: Path, content: bytes) -> None:
    (well / "data/crops/train/part_00.json").write_bytes(content)
    one = only(well, "records")
    assert one.state == "warn"
    assert one.paths == ("data/crops/train/part_00.json",)


def test_what_killed_predictions_left_is_told_after_a_day(well: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "tmp/trueframe-old", tmp_path / "tmp/trueframe-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "crops.zip").write_bytes(b"12")
    os.utime(old, (1, 1))
    one = only(well, "predictions")
    assert one.state == "warn"
    assert one.paths == (str(old),)
