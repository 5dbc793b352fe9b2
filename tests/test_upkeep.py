"""What it costs to know: records are read once, artifacts hashed once, DVC is told of what changed."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trueframe import upkeep
from trueframe.dag import STAGES
from trueframe.files import Digests, sha256_file
from trueframe.workspace import Workspace
from workspaces import call, edit_params, environment

RAW = "data/raw.dvc"  # DVC writes this anew each time, and dvc.lock, with the same bytes where nothing changed
# Runs a program and prints how often it opened each file below the current folder.
COUNTED = """
import collections, json, os, runpy, sys
opened = collections.Counter()
def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        opened[os.path.relpath(arguments[0] or ".")] += 1
sys.addaudithook(hear)
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as done:
    assert not done.code, done.code
print("\\n" + json.dumps(opened))
"""


@pytest.mark.parametrize("words", [("trueframe", "status"), ("snakemake", "--dry-run", "submission")])
def test_each_record_is_read_once_in_a_process(finished: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, *words],
        cwd=finished,
        env=environment(finished) | {"PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=True,
    )
    opened = json.loads(done.stdout.splitlines()[-1])
    layout = Workspace(finished).layout
    records = [str(entry.record_path(unit)) for stage, entry in STAGES.items() for unit in layout.units(stage)]
    assert {path: opened.get(path, 0) for path in records} == dict.fromkeys(records, 1)


def test_a_file_is_hashed_once_in_a_job(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    digests = Digests()
    # FIPS 180-2, example B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digests(path) == sha256_file(path) == expected
    path.unlink()
    assert digests(path) == expected


def facts(root: Path, *folders: str) -> dict[str, tuple[int, int]]:
    """Inode and mtime of every file: what a rewritten or linked file would have anew."""
    files = sorted(path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (found.st_ino, found.st_mtime_ns) for path in files for found in [path.stat()]}


def test_dvc_touches_only_what_changed_when_it_is_told(finished: Path) -> None:
    before, raw = facts(finished, "data", "models", ".dvc/cache"), (finished / RAW).read_bytes()
    lock = yaml.safe_load((finished / "dvc.lock").read_text())["stages"]
    edit_params(finished, {"evaluation.threshold": 0.25})
    call(finished, "trueframe", "evaluation", "all", PYTHONPATH="src", MLFLOW_TRACKING_URI=f"sqlite:///{finished}/a.db")
    call(finished, "trueframe", "commit", PYTHONPATH="src")
    after = facts(finished, "data", "models", ".dvc/cache")
    assert (finished / RAW).read_bytes() == raw
    assert {path: after[path] for path in before if path != RAW} == {
        path: before[path] for path in before if path != RAW
    }
    added = after.keys() - before.keys()
    assert all(path.startswith(".dvc/cache/") for path in added)
    now = yaml.safe_load((finished / "dvc.lock").read_text())["stages"]
    assert [stage for stage in lock if now[stage] != lock[stage]] == ["evaluation"]
    reports = [out for out in now["evaluation"]["outs"] if out not in lock["evaluation"]["outs"]]
    cached = {path.removeprefix(".dvc/cache/files/md5/").replace("/", "") for path in added if "/files/" in path}
    assert {out["md5"] for out in reports} >= cached
    assert cached


def test_what_a_run_owes_dvc_is_owed_until_the_run_has_ended(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "submission")  # so that DVC is not asked: it writes by itself
    owed = finished / upkeep.OWED
    owed.touch()
    with (finished / upkeep.LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        upkeep.commit(Workspace(finished))
        assert owed.exists()
    upkeep.commit(Workspace(finished))
    assert not owed.exists()
    owed.touch()
    with (finished / upkeep.LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        upkeep.commit(Workspace(finished), ends_run=True)
        assert not owed.exists()
