"""`trueframe doctor` on MLflow: databases, folders, servers."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from examination import add_remote, closed_port, found, only
from trueframe.tracking.store import Store


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
    add_remote(well, "http://u:a/hush@host/store")
    (one,) = found(well, "DVC remote")
    assert one.state == "bad"
    assert "hush" not in one.detail + one.advice
