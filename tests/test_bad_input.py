"""What a user can get wrong ends in a message with the file and what to do, or in a status row; nothing is harmed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from trueframe import tables
from workspaces import call, clean, digests, environment, planned, snakemake


def _refused(workspace: Path, *needles: str, target: str = "submission") -> None:
    done = snakemake(workspace, target, check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in told
    for needle in needles:
        assert needle in told, told


def test_missing_raw_videos(finished: Path) -> None:
    before = digests(finished)
    (finished / "data/raw").rename(finished / "elsewhere")
    _refused(finished, "data/raw", "trueframe demo-data", "dvc pull")
    (finished / "elsewhere").rename(finished / "data/raw")
    assert digests(finished) == before
    clean(finished)


def test_no_parts(raw: Path) -> None:
    shutil.rmtree(raw / "data/raw")
    (raw / "data/raw/train").mkdir(parents=True)
    _refused(raw, "data/raw: has no part")


def test_an_empty_part(raw: Path) -> None:
    (raw / "data/raw/train/part_09").mkdir()
    (raw / "data/raw/train/part_09/metadata.json").write_text("{}")
    _refused(raw, "data/raw/train/part_09", "no videos", target="index")


def test_metadata_that_is_no_json(raw: Path) -> None:
    (raw / "data/raw/train/part_00/metadata.json").write_text('{"a.mp4": ')
    _refused(raw, "data/raw/train/part_00/metadata.json: not JSON", "line 1", target="index")


def test_metadata_that_names_a_missing_file_and_a_video_that_cant_be_opened(raw: Path) -> None:
    path = raw / "data/raw/train/part_00/metadata.json"
    metadata = json.loads(path.read_text())
    metadata |= {"gone.mp4": {"label": "REAL"}, "empty.mp4": {"label": "REAL"}}
    path.write_text(json.dumps(metadata))
    (path.parent / "empty.mp4").touch()
    snakemake(raw, "index")
    rows = {row["video"]: row for row in tables.read_rows(raw / "data/index/train/part_00.parquet")}
    assert rows["gone.mp4"]["status"] == tables.MISSING_FILE
    assert rows["empty.mp4"]["status"] == tables.DECODE_ERROR
    assert rows["empty.mp4"]["reason"]


def test_a_typo_in_the_parameters(finished: Path) -> None:
    before = digests(finished)
    path = finished / "params.yaml"
    good = path.read_text()
    path.write_text(good.replace("margin:", "margn:").replace("webp_method: 0", "webp_method: 7"))
    _refused(finished, "params.yaml", "crops.margn", "allowed here: margin", "crops.webp_method: 7")
    path.write_text(good)
    assert digests(finished) == before


def test_parameters_on_the_command_line_are_refused(finished: Path) -> None:
    done = snakemake(finished, "submission", "--config", "crops={margin: 1}", check=False)
    assert done.returncode != 0
    assert "dvc exp run -S crops" in done.stdout + done.stderr


def test_a_second_run_in_the_same_folder(raw: Path) -> None:
    command = ("snakemake", "--cores", "1", "bboxes")
    first = subprocess.Popen(
        command,
        cwd=raw,
        env=environment(raw),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list((raw / "logs").rglob("*.log")):
        time.sleep(0.1)
        assert first.poll() is None
    _refused(raw, ".snakemake/trueframe.lock", f"process {first.pid}", "wait until it ends", target="bboxes")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    snakemake(raw, "index")
    assert planned(raw, "index") == set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder), check=False).returncode:
        pytest.skip("a small file system can't be mounted here")
    return folder


def test_a_full_disk(finished: Path, small_disk: Path) -> None:
    before = digests(finished)
    try:
        shutil.copytree(finished / "data/crops", small_disk, dirs_exist_ok=True)
        shutil.rmtree(finished / "data/crops")
        (finished / "data/crops").symlink_to(small_disk)
        with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 12))
        (finished / "params.yaml").write_text(
            (finished / "params.yaml").read_text().replace("margin: 0.3", "margin: 0.2")
        )
        _refused(finished, "No space left on device", "free some space", target="crops")
        assert not list(small_disk.rglob("*.partial*"))
        assert digests(finished) == before
        (small_disk / "filler").unlink()
        snakemake(finished, "crops")
        assert digests(finished) != before
    finally:
        subprocess.run(("umount", small_disk), check=True)


def test_a_wrong_unit_is_named_with_the_right_ones(raw: Path) -> None:
    done = call(raw, "trueframe", "crops", "train/part_77", check=False, PYTHONPATH="src")
    assert done.returncode == 1
    assert done.stderr.startswith("trueframe: crops train/part_77: no such unit")
    assert "train/part_00" in done.stderr


def test_code_of_another_workspace_is_refused(raw: Path) -> None:
    (raw / "elsewhere").mkdir()
    shutil.copytree(raw / "src", raw / "elsewhere/src")
    done = call(raw, "trueframe", "status", check=False, PYTHONPATH="elsewhere/src")
    assert done.returncode == 1
    assert "not the workspace's own" in done.stderr
