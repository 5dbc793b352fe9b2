"""`trueframe doctor`: green where all is well, each trouble named with what to do, nothing changed by asking."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import types
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer
from mlflow.exceptions import MlflowException

from trueframe import devices, raw
from trueframe.cli import doctor
from trueframe.dag import STAGES
from trueframe.doctor import checkup, disk, reach
from trueframe.doctor.case import Case
from trueframe.doctor.findings import Finding
from trueframe.tracking.store import Store
from trueframe.workspace import Workspace
from workspaces import REPO, UNPRIVILEGED, as_another, call, edit_params

OTHER = {"submission.unknown_score": 0.25}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracking server of the caller's, no DVC configuration but the workspace's, a folder of temporary files."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        monkeypatch.delenv(name)
    for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
        monkeypatch.setenv(f"DVC_{name}_DIR", str(tmp_path / f"dvc-{name}"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def own(source: Path, path: Path) -> Path:
    """A copy that has this repository's code in place of its own, so that it can be examined in this process.

    What no test changes is shared with the source: hundreds of small files.
    """
    shared = {"src": REPO / "src", ".git": source / ".git", ".dvc/cache": source / ".dvc/cache"}
    unasked = ("src", ".git", "cache", "logs", "log", "metadata", "mlruns", "tests", "benchmarks", "docs")
    shutil.copytree(source, path, symlinks=True, ignore=shutil.ignore_patterns(*unasked))
    for name, target in shared.items():
        (path / name).symlink_to(target)
    return path


@pytest.fixture
def well(tmp_path: Path, finished_workspace: Path) -> Path:
    """A finished workspace."""
    return own(finished_workspace, tmp_path / "w")


def found(path: Path, what: str, offline: bool = False) -> list[Finding]:
    """What a check finds."""
    return checkup.examine(path, offline, {what: checkup.CHECKS[what]})


def only(path: Path, what: str, offline: bool = False) -> Finding:
    (one,) = found(path, what, offline)
    return one


def troubles(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(one.what, one.state) for one in findings if one.state != "ok"}


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """Kind, permissions, time and content of all that lies below a folder."""
    known: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        told = path.lstat()
        plain = path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if plain else None
        known[str(path.relative_to(root))] = (told.st_mode, told.st_mtime_ns, content)
    return known


def ask(path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return call(path, "python", "-m", "trueframe", "doctor", *words, check=False, PYTHONPATH="src", **environment)


def test_a_finished_workspace_is_well_and_asking_changes_nothing(finished: Path) -> None:
    before = facts(finished)
    done = ask(finished)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1] == "all is well"
    assert all(line.startswith("ok ") for line in done.stdout.splitlines()[:-1])
    assert facts(finished) == before
    told = json.loads(ask(finished, "--json").stdout)
    assert told["ok"] is True
    assert {one["what"] for one in told["findings"]} == set(checkup.CHECKS)
    assert all(set(one) == {"what", "state", "detail", "advice", "paths"} for one in told["findings"])


def test_before_the_first_run_all_is_well_and_the_disk_is_guessed(tmp_path: Path, raw_workspace: Path) -> None:
    new = own(raw_workspace, tmp_path / "w")
    before = facts(new)
    findings = checkup.examine(new)
    assert troubles(findings) == set()
    (space,) = [one for one in findings if one.what == "disk space"]
    assert "guessed from DFDC's" in space.detail
    assert "without" in space.detail
    assert "models" in space.detail
    assert facts(new) == before


def test_an_empty_folder_is_told_in_full_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    done = call(
        folder, "python", "-m", "trueframe", "doctor", "--json", check=False, PYTHONPATH=os.pathsep.join(sys.path)
    )
    assert (done.returncode, done.stderr) == (1, "")
    told = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    bad = {what for what, one in told.items() if one["state"] == "bad"}
    assert bad == {"Python", "packages", "git", "workspace", "DVC's cache"}
    assert all(told[what]["advice"] for what in bad)
    assert {told[what]["state"] for what in ("raw videos", "records", "disk space", "DVC remote", "checkpoints")} == {
        "skipped"
    }
    assert list(folder.iterdir()) == []


def test_another_python_is_told(well: Path) -> None:
    project = well / "pyproject.toml"
    project.write_text(project.read_text().replace('requires-python = ">=3.11"', 'requires-python = ">=9.9"'))
    one = only(well, "Python")
    assert one.state == "bad"
    assert ">=9.9" in one.detail


def test_packages_that_are_not_the_locks_are_told(well: Path) -> None:
    lock = well / "requirements.lock"
    text = lock.read_text()
    pinned = next(line for line in text.splitlines() if line.startswith("packaging=="))
    lock.write_text(
        text.replace(pinned, "packaging==1.0 \\")
        + "no-such-package==1.2 \\\n    --hash=sha256:00\n"
        + "no-such-package-either==1.2 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    other, missing = found(well, "packages")
    assert (other.state, missing.state) == ("bad", "bad")
    assert "packaging 2" in other.detail
    assert "expected 1.0" in other.detail
    assert missing.detail.endswith(": no-such-package")
    assert "make .venv/ready" in missing.advice


def test_a_local_build_of_a_locked_version_is_as_good(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (well / "requirements.lock").write_text("torch==2.7.0 ; sys_platform != 'nowhere' \\\n")
    monkeypatch.setattr("trueframe.doctor.machine.version", lambda name: "2.7.0+cpu")
    assert only(well, "packages").state == "ok"


@pytest.mark.parametrize("text", [None, "torch=2.7\n"])
def test_a_lock_that_is_absent_or_no_lock_is_told(well: Path, text: str | None) -> None:
    lock = well / "requirements.lock"
    lock.unlink() if text is None else lock.write_text(text)
    one = only(well, "packages")
    assert one.state == "bad"
    assert "requirements.lock" in one.detail
    assert "git checkout requirements.lock" in one.advice


class _NoDriverError(Exception):
    pass


def _driver(names: list[str]) -> types.ModuleType:
    """NVIDIA's library as Python sees it, on a machine with these GPUs."""
    module = types.ModuleType("pynvml")

    def init() -> None:
        if not names:
            raise _NoDriverError

    vars(module).update(
        NVMLError=_NoDriverError,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: "580.1",
        nvmlDeviceGetCount=lambda: len(names),
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetName=lambda number: names[number],
    )
    return module


@pytest.mark.parametrize(
    ("names", "kind", "visible", "state", "told"),
    [
        ([], "cpu", None, "ok", "none; everything runs on the CPU"),
        (["H200"], "cuda", None, "ok", "H200 (driver 580.1)"),
        (["H200"], "cpu", None, "warn", "can't use it"),
        (["H200"], "cpu", "", "ok", "hidden by CUDA_VISIBLE_DEVICES"),
    ],
)
def test_the_gpu_is_told_and_that_torch_cant_use_it(
    well: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    kind: str,
    visible: str | None,
    state: str,
    told: str,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _driver(names))
    monkeypatch.setattr(devices, "resolved", lambda device: kind)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    one = only(well, "GPU")
    assert one.state == state
    assert told in one.detail


def test_a_gpu_that_is_lost_is_told(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _driver(["H200"])

    def lost(number: int) -> str:
        raise _NoDriverError("GPU is lost")

    monkeypatch.setattr(driver, "nvmlDeviceGetName", lost)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    one = only(well, "GPU")
    assert (one.state, "GPU is lost" in one.detail) == ("bad", True)
    assert "nvidia-smi" in one.advice


def test_a_check_that_fails_itself_is_told_with_its_traceback_and_the_others_are_shown(
    well: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(case: Case) -> Iterator[Finding]:
        raise KeyError("http://me:hush@host\nmore")

    monkeypatch.chdir(well)
    monkeypatch.setitem(checkup.CHECKS, "git", fail)
    with pytest.raises(typer.Exit) as caught:
        doctor(offline=True)
    assert caught.value.exit_code == 1
    shown = capfd.readouterr()
    (told,) = [line for line in shown.out.splitlines() if line.startswith("bad ")]
    assert "this check itself failed: KeyError: " in told
    assert "hush" not in shown.out
    assert "in fail\n" in shown.err
    assert len(shown.out.splitlines()) == len(checkup.CHECKS) + 2


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


def _remote(path: Path, url: str) -> None:
    (path / ".dvc/config").write_text(f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {url}\n")


def test_a_folder_as_remote_is_told_where_it_is_away(well: Path, tmp_path: Path) -> None:
    _remote(well, str(tmp_path / "shared"))
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


@contextmanager
def server(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server that always gives the same answer: host and port, and the paths that it was asked for."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{one.server_port}", asked
        finally:
            one.shutdown()
            thread.join()


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield f"127.0.0.1:{one.getsockname()[1]}"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_remote_that_answers_is_reached_whatever_it_says(well: Path, status: int) -> None:
    with server(status) as (host, asked):
        _remote(well, f"http://{host}/store")
        one = only(well, "DVC remote")
    assert (one.state, asked) == ("ok", ["/store"])


def test_a_server_that_is_broken_away_or_silent_is_told_in_time(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PATIENCE_S", 0.5)
    with server(503) as (host, _):
        _remote(well, f"http://{host}/store")
        assert "503" in only(well, "DVC remote").detail
    _remote(well, f"http://someone:secret@{closed_port()}/store")
    one = only(well, "DVC remote")
    assert "refused" in one.detail
    assert "secret" not in one.detail
    with silent_server() as host:
        _remote(well, f"http://{host}/store")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{host}")
        begun = time.monotonic()
        findings = checkup.examine(well)
        assert time.monotonic() - begun < 10
    assert troubles(findings) == {("DVC remote shared", "bad"), ("MLflow", "bad")}


def test_offline_asks_nobody(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (host, asked):
        _remote(well, f"http://{host}/store")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{host}")
        findings = checkup.examine(well, offline=True)
        assert asked == []
        assert troubles(findings) == {("DVC remote shared", "skipped"), ("MLflow", "skipped")}
        assert not checkup.wrong(findings)
        assert troubles(checkup.examine(well)) == set()
        assert sorted(asked) == ["/health", "/store"]


def test_a_remote_that_dvc_has_no_plugin_for_is_told(well: Path) -> None:
    _remote(well, "s3://bucket/store")
    one = only(well, "DVC remote")
    assert one.state == "bad"
    assert "s3" in one.detail.removeprefix("s3://bucket/store")


def test_a_tracking_database_that_is_none_is_told(well: Path) -> None:
    (well / "mlflow.db").write_bytes(b"not a database, but long enough to have a header of one" * 40)
    one = only(well, "MLflow")
    assert one.state == "bad"
    assert "not a database" in one.detail
    assert "trueframe mlflow rebuild" in one.advice


def test_a_locked_tracking_database_is_told(well: Path) -> None:
    with closing(sqlite3.connect(well / "mlflow.db", isolation_level=None)) as database:
        database.execute("begin exclusive")
        one = only(well, "MLflow")
        database.execute("rollback")
    assert one.state == "bad"
    assert one.detail.endswith("locked")
    assert only(well, "MLflow").state == "ok"


def test_a_tracking_server_that_is_away_is_told(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uri in (f"http://{closed_port()}", f"postgresql://someone:secret@{closed_port()}/runs"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        one = only(well, "MLflow")
        assert one.state == "bad"
        assert "refused" in one.detail
        assert "secret" not in one.detail
        assert "MLFLOW_TRACKING_URI" in one.advice


def _takes_runs(root: Path) -> bool:
    """Whether MLflow itself takes the place that the environment names."""
    try:
        Store.of(root)
    except MlflowException:
        return False
    return True


def test_a_tracking_folder_is_told_as_mlflow_refuses_it(
    well: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uri in ((tmp_path / "runs").as_uri(), str(tmp_path / "runs")):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
        one = only(well, "MLflow")
        assert (one.state, _takes_runs(well)) == ("bad", False)
        assert "MLFLOW_TRACKING_URI" in one.advice
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        assert (only(well, "MLflow").state, _takes_runs(well)) == ("ok", True)


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile", "uc"])
def test_a_tracking_service_is_no_folder(well: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    one = only(well, "MLflow")
    assert one.state == "warn"
    assert "folder" not in one.detail
    assert only(well, "MLflow", offline=True).state == "skipped"


def test_a_tracking_database_of_another_mlflow_is_told(
    well: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = well / "mlflow.db"
    shutil.copyfile(database, path)
    assert only(well, "MLflow").state == "ok"
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("update alembic_version set version_num = '0123456789ab'")
    one = only(well, "MLflow")
    assert (one.state, _takes_runs(well)) == ("bad", False)
    assert "schema 0123456789ab" in one.detail
    assert "mlflow db upgrade sqlite:///" in one.advice


@pytest.mark.parametrize(
    "uri", ["postgresql://u:hush@host:port/db", "http://[bad/", "http://u:h/ush@host", "mysql://u:a/hush@h/db"]
)
def test_an_address_that_cant_be_read_is_told_as_that(well: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    one = only(well, "MLflow")
    assert (one.state, "no address that can be read" in one.detail) == ("bad", True)
    assert "hush" not in one.detail
    assert "MLFLOW_TRACKING_URI" in one.advice
    _remote(well, "http://u:a/hush@host/store")
    (one,) = found(well, "DVC remote")
    assert one.state == "bad"
    assert "hush" not in one.detail + one.advice


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


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        ("params.yaml", "index: [", "workspace"),
        ("params.yaml", None, "workspace"),
        ("dvc.yaml", "stages: [", "workspace"),
        ("dvc.yaml", "stages: {}", "workspace"),
        ("dvc.yaml", None, "workspace"),
        ("data/withdrawn.csv", "nonsense\n", "records"),
    ],
)
def test_a_file_that_cant_be_read_is_told_once_and_what_is_not_known_without_it(
    well: Path, path: str, text: str | None, what: str
) -> None:
    (well / path).unlink() if text is None else (well / path).write_text(text)
    findings = checkup.examine(well)
    (bad,) = [one for one in findings if one.state == "bad"]
    assert (bad.what, path in bad.detail, bool(bad.advice)) == (what, True, True)
    skipped = {one.what for one in findings if one.state == "skipped"}
    assert "disk space" in skipped


@pytest.mark.parametrize(
    ("key", "value", "told", "planned"),
    [
        ("weights", "nope.pt", "a pickle", False),
        ("weights", "nope.safetensors", "no such file", False),
        ("encoder", "no_such_net", "has none such", True),
        ("encoder", "test_efficientnet.nope", "no such weights", True),
    ],
)
def test_what_no_training_can_start_from_is_told(
    finished: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str, told: str, planned: bool
) -> None:
    """A run is refused for a file; to know encoders takes it too long."""
    edit_params(finished, {f"models.{key}": value})
    one = only(finished, "training")
    assert one.state == "bad"
    assert f"params.yaml: models.{key}: {value}: " in one.detail
    assert told in one.detail
    run = call(finished, "snakemake", "--dry-run", check=False)
    assert (run.returncode == 0) == planned
    assert (one.detail in run.stdout) != planned


def test_code_of_another_workspace_is_told(finished: Path) -> None:
    one = only(finished, "workspace")
    assert one.state == "bad"
    assert "PYTHONPATH" in one.advice


def test_a_clone_without_raw_videos_is_told(well: Path) -> None:
    shutil.rmtree(well / "data/raw")
    findings = checkup.examine(well)
    assert troubles(findings) == {("raw videos", "warn")}


def test_a_name_from_outside_stays_on_its_line(
    well: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (well / "data/crops/train/.a\n\x1b[31mb.zip.partial").touch()
    checkup.show(checkup.examine(well), json=False)
    told = capfdbinary.readouterr().out.decode()
    assert "\x1b" not in told
    assert r".a\n\x1b[31mb.zip.partial" in told
    assert told.splitlines()[-1] == "0 things must be done, 1 thing may be done"
