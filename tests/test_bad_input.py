"""What a user can get wrong ends in a message with the file and what to do, or in a status row; nothing is harmed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from trueframe import raw as raw_videos
from trueframe import tables
from trueframe.errors import UserError
from trueframe.workspace import Workspace
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


@pytest.mark.parametrize("kind", ["train", "test"])
def test_a_disk_that_is_not_mounted_is_not_taken_for_removed_parts(finished: Path, kind: str) -> None:
    before = digests(finished)
    (finished / f"data/raw/{kind}").rename(finished / "elsewhere")
    _refused(finished, f"data/raw/{kind}: has no part", "mount it", f"remove data/index/{kind}")
    (finished / f"data/raw/{kind}").mkdir()
    _refused(finished, f"data/raw/{kind}: has no part", "mount it", f"remove data/index/{kind}")
    pruned = call(finished, "trueframe", "prune", "index", check=False, PYTHONPATH="src")
    assert pruned.returncode == 1
    (finished / f"data/raw/{kind}").rmdir()
    (finished / f"data/raw/{kind}").symlink_to("nowhere")
    _refused(finished, f"data/raw/{kind}: a link")
    (finished / f"data/raw/{kind}").unlink()
    (finished / "elsewhere").rename(finished / f"data/raw/{kind}")
    assert digests(finished) == before
    clean(finished)


def test_parts_of_a_kind_that_are_gone_for_good_go(finished: Path) -> None:
    shutil.rmtree(finished / "data/raw/test")
    shutil.rmtree(finished / "data/index/test")
    snakemake(finished, "crops")
    assert not list((finished / "data/crops").rglob("test/*"))


def test_folds_without_a_train_part(raw: Path) -> None:
    shutil.rmtree(raw / "data/raw/train")
    done = call(raw, "trueframe", "folds", check=False, PYTHONPATH="src")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("trueframe: data/raw/train: has no part")


def test_a_part_that_is_a_link_to_a_folder_is_refused_with_what_dvc_can_take(raw: Path) -> None:
    (raw / "data/raw/test/part_00").rename(raw / "a disk")
    (raw / "data/raw/test/part_00").symlink_to("../../../a disk")
    done = snakemake(raw, "index", check=False)
    found = re.search(r"data/raw/test/part_00: a link, .* remove it, then `(cp -rs .*)`", done.stdout + done.stderr)
    assert found
    (raw / "data/raw/test/part_00").unlink()
    call(raw, "bash", "-c", found[1])
    snakemake(raw, "index")
    call(raw, "dvc", "add", "data/raw")
    videos = [path for path in (raw / "data/raw").rglob("*") if path.is_file()]
    assert yaml.safe_load((raw / "data/raw.dvc").read_text())["outs"][0]["nfiles"] == len(videos)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("\udcff", r"data/raw/train/\\udcff: a name that is no UTF-8"),
        ("x" * 245, "a name of 245 bytes; 200 at most"),
        ("é" * 101, "a name of 202 bytes; 200 at most"),
        ("part_00.videos", "its files would have the names of train/part_00's"),
    ],
)
def test_a_name_that_the_files_of_a_part_cant_have(tmp_path: Path, name: str, why: str) -> None:
    for part in ("part_00", name):
        (tmp_path / "data/raw/train" / part).mkdir(parents=True)
    with pytest.raises(UserError, match=why):
        raw_videos.require(tmp_path)


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


def test_a_unit_that_another_process_makes_is_left_to_it(raw: Path) -> None:
    with Workspace(raw).alone("index", "train/part_00"):
        done = call(raw, "trueframe", "index", "train/part_00", check=False, PYTHONPATH="src")
        assert done.returncode == 1
        assert "trueframe: index train/part_00: another process makes it; wait until that has ended" in done.stderr
        call(raw, "trueframe", "index", "train/part_01", PYTHONPATH="src")
    call(raw, "trueframe", "index", "train/part_00", PYTHONPATH="src")


def test_code_of_another_workspace_is_refused(raw: Path) -> None:
    (raw / "elsewhere").mkdir()
    shutil.copytree(raw / "src", raw / "elsewhere/src")
    done = call(raw, "trueframe", "status", check=False, PYTHONPATH="elsewhere/src")
    assert done.returncode == 1
    assert "not the workspace's own" in done.stderr
