"""Where MLflow keeps what it is told: whether it can be reached."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trueframe.addresses import public
from trueframe.doctor import reach
from trueframe.doctor.case import Case
from trueframe.doctor.findings import Finding
from trueframe.tracking.store import DATABASE

_VARIABLE = "MLFLOW_TRACKING_URI"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SERVICES = ("databricks", "databricks-uc", "uc")  # which MLflow takes for no folder's name
_LOCKED_S = 1.0
_AWAY = f"start the server, or set or unset {_VARIABLE}; `trueframe mlflow rebuild` makes later what it missed"
_BROKEN = "move it away; `trueframe mlflow rebuild` makes a new one from the artifacts"


def mlflow(case: Case) -> Iterator[Finding]:
    """Whether the tracking server or database answers. Nothing needs it: without it, runs are not seen in MLflow."""
    uri = os.environ.get(_VARIABLE)
    if not uri:
        yield _database(case.root / DATABASE)
        return
    told = public(uri)
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:  # whose words may have a piece of the password
        yield Finding("MLflow", "bad", f"{told}: {reach.NO_ADDRESS}", f"mend {_VARIABLE}, or unset it")
        return
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite":
        yield _database(case.root / unquote(parts.path[1:]))
    elif scheme in ("", "file") and uri not in _SERVICES:
        yield _folder(case.root / unquote(parts.path))
    elif case.offline:
        yield Finding("MLflow", "skipped", f"{told}: not asked, --offline")
    elif scheme in ("http", "https"):
        yield _server(told, reach.http_server(f"{uri.rstrip('/')}/health"))
    elif scheme in _PORTS and host:
        yield _server(told, reach.port(host, port or _PORTS[scheme]))
    else:
        yield Finding(
            "MLflow",
            "warn",
            f"{told}: a kind of server that can't be asked from here",
            f"`trueframe mlflow rebuild` tells whether it takes runs; or set {_VARIABLE} to another, or unset it",
        )


def _server(told: str, trouble: str | None) -> Finding:
    if trouble:
        return Finding("MLflow", "bad", f"{told}: {trouble}", _AWAY)
    return Finding("MLflow", "ok", f"{told} answers")


def _database(path: Path) -> Finding:
    """Opened to be read alone: what it lacks or what was left half written is mended by MLflow, not here."""
    if not path.exists():
        return Finding("MLflow", "ok", f"{path}: not there; the first training makes it")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCKED_S)) as database:
            (runs,) = database.execute("select count(*) from runs").fetchone()
            versions = [version for (version,) in database.execute("select version_num from alembic_version")]
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return Finding("MLflow", "bad", f"{path}: locked", "end the process that has it open; `fuser` names it")
        return Finding("MLflow", "bad", f"{path}: {error}", _BROKEN)
    except sqlite3.DatabaseError as error:
        return Finding("MLflow", "bad", f"{path}: {error}", _BROKEN)
    if not os.access(path, os.W_OK):
        return Finding("MLflow", "bad", f"{path}: can't be written", "give this user access to it")
    expected, needed = _schema()
    if versions != [expected] and needed <= tables:  # where a table lacks, MLflow brings all up to date by itself
        return Finding(
            "MLflow",
            "bad",
            f"{path}: of another MLflow, schema {', '.join(versions) or 'unknown'}, expected {expected}",
            f"copy it and run `mlflow db upgrade {shlex.quote(f'sqlite:///{path}')}`, or {_BROKEN}",
        )
    return Finding("MLflow", "ok", f"{path}: {runs} runs")


def _schema() -> tuple[str | None, set[str]]:
    """The version and the tables of the databases that the installed MLflow takes."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db import base_sql_model
    from mlflow.store.tracking import sqlalchemy_store  # which knows all tables

    scripts = Path(sqlalchemy_store.__file__).parents[1] / "db_migrations"
    return ScriptDirectory(str(scripts)).get_current_head(), set(base_sql_model.Base.metadata.tables)


def _folder(path: Path) -> Finding:
    from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE

    if not MLFLOW_ALLOW_FILE_STORE.get():
        return Finding(
            "MLflow",
            "bad",
            f"{path}: a folder, which MLflow does not write to any more",
            f"set {_VARIABLE} to a server or sqlite:///<path>, or unset it; `mlflow migrate-filestore` takes over runs",
        )
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    if place.is_dir() and os.access(place, os.W_OK):
        return Finding("MLflow", "ok", f"{path}: a folder")
    return Finding("MLflow", "bad", f"{path}: no folder that can be written", f"mend {_VARIABLE}, or unset it")
