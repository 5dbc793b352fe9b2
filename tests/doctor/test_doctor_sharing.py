"""`trueframe doctor` on git and DVC: cache, memory, remotes."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from examination import add_remote, ask, closed_port, only, server, silent_server, troubles
from trueframe import raw
from trueframe.doctor import checkup, reach
from workspaces import call


def test_no_git_and_no_repository_are_told(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (well / ".git").unlink()
    one = only(well, "git")
    assert (one.state, "git init" in one.advice) == ("bad", True)
    monkeypatch.setenv("PATH", str(well))
    one = only(well, "git")
    assert (one.state, one.detail) == ("bad", "not installed")


def test_a_workspace_without_dvc_is_told_once_and_the_units_are_known_all_the_same(well: Path) -> None:
    shutil.rmtree(well / ".dvc")
    findings = checkup.examine(well)
    assert troubles(findings) == {
        ("DVC's cache", "bad"),
        ("DVC's memory", "skipped"),
        ("DVC remote", "skipped"),
        ("disk space", "skipped"),
    }
    assert "are fresh" in next(one.detail for one in findings if one.what == "records")


def test_a_dvc_configuration_that_cant_be_read_is_told(well: Path) -> None:
    (well / ".dvc/config").write_text("[core\n")
    bad = [one for one in checkup.examine(well) if one.state == "bad"]
    assert len(bad) == 1
    assert ".dvc/config" in bad[0].detail


def test_hardlinks_are_refused_as_a_run_refuses_them(well: Path) -> None:
    (well / ".dvc/config").write_text("[cache]\n    type = hardlink\n")
    one = only(well, "DVC's cache")
    assert one.state == "bad"
    assert "reflink,copy" in one.advice


def test_a_cache_on_a_disk_that_is_away_is_told(well: Path, tmp_path: Path) -> None:
    (well / ".dvc/config").write_text(f"[cache]\n    dir = {tmp_path}/away/cache\n")
    one = only(well, "DVC's cache")
    assert one.state == "bad"
    assert "away/cache" in one.detail


def test_a_memory_of_dvcs_that_cant_be_written_is_told(finished: Path) -> None:
    away = {"DVC_SITE_CACHE_DIR": "/proc/nope"}
    done = ask(finished, "--json", **away)
    bad = [one for one in json.loads(done.stdout)["findings"] if one["state"] == "bad"]
    assert (done.returncode, done.stderr) == (1, "")
    assert [(one["what"], "/proc/nope" in one["detail"]) for one in bad] == [("DVC's memory", True)]
    run = call(finished, "snakemake", "--dry-run", check=False, **away)
    told = run.stdout + run.stderr
    assert "/proc/nope" in told
    assert "core.site_cache_dir" in told
    assert "Traceback" not in told


def test_a_memory_of_dvcs_that_is_damaged_is_told(well: Path, tmp_path: Path) -> None:
    raw.repository(well)
    for path in (tmp_path / "dvc-SITE_CACHE").rglob("cache.db"):
        path.write_bytes(b"not a database, but long enough to have a header of one" * 40)
    bad = [one for one in checkup.examine(well) if one.state == "bad"]
    assert [(one.what, "not a database" in one.detail, "remove it" in one.advice) for one in bad] == [
        ("DVC's memory", True, True)
    ]


def test_a_folder_as_remote_is_told_where_it_is_away(well: Path, tmp_path: Path) -> None:
    add_remote(well, str(tmp_path / "shared"))
    one = only(well, "DVC remote")
    assert (one.what, one.state) == ("DVC remote shared", "bad")
    assert "`dvc push` makes it" in one.advice
    (tmp_path / "shared").mkdir()
    assert only(well, "DVC remote").state == "ok"


def test_a_default_remote_of_another_name_is_told(well: Path) -> None:
    (well / ".dvc/config").write_text("[core]\n    remote = nobody\n")
    one = only(well, "DVC remote")
    assert one.state == "bad"
    assert "nobody" in one.detail


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_remote_that_answers_is_reached_whatever_it_says(well: Path, status: int) -> None:
    with server(status) as (host, asked):
        add_remote(well, f"http://{host}/store")
        one = only(well, "DVC remote")
    assert (one.state, asked) == ("ok", ["/store"])


def test_a_server_that_is_broken_away_or_silent_is_told_in_time(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PATIENCE_S", 0.5)
    with server(503) as (host, _):
        add_remote(well, f"http://{host}/store")
        assert "503" in only(well, "DVC remote").detail
    add_remote(well, f"http://someone:secret@{closed_port()}/store")
    one = only(well, "DVC remote")
    assert "refused" in one.detail
    assert "secret" not in one.detail
    with silent_server() as host:
        add_remote(well, f"http://{host}/store")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{host}")
        begun = time.monotonic()
        findings = checkup.examine(well)
        assert time.monotonic() - begun < 10
    assert troubles(findings) == {("DVC remote shared", "bad"), ("MLflow", "bad")}


def test_offline_asks_nobody(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (host, asked):
        add_remote(well, f"http://{host}/store")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{host}")
        findings = checkup.examine(well, offline=True)
        assert asked == []
        assert troubles(findings) == {("DVC remote shared", "skipped"), ("MLflow", "skipped")}
        assert not checkup.wrong(findings)
        assert troubles(checkup.examine(well)) == set()
        assert sorted(asked) == ["/health", "/store"]


def test_a_remote_that_dvc_has_no_plugin_for_is_told(well: Path) -> None:
    add_remote(well, "s3://bucket/store")
    one = only(well, "DVC remote")
    assert one.state == "bad"
    assert "s3" in one.detail.removeprefix("s3://bucket/store")
