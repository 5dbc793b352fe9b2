"""MLflow's databases for tests, and what is in them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

import trainings
from trueframe.tracking.registry import MODEL
from trueframe.tracking.store import EXPERIMENT


def database(factory: pytest.TempPathFactory) -> Path:
    """A new database without an experiment, shared by all test processes: it takes MLflow up to ten seconds to make."""
    base = factory.getbasetemp()
    folder = base.parent if base.name.startswith("popen-") else base
    path = folder / "empty-mlflow.db"
    with FileLock(folder / "empty-mlflow.lock"):
        if not path.exists():
            unfinished = path.with_name("unfinished-mlflow.db")
            MlflowClient(f"sqlite:///{unfinished}").get_experiment_by_name(EXPERIMENT)
            unfinished.rename(path)
    return path


def workspace(root: Path, database: Path) -> Path:
    """A workspace with what trains, and a database."""
    shutil.copyfile(database, root / "mlflow.db")
    return trainings.workspace(root)


@contextmanager
def server(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """MLflow's server on the database of a workspace: its address, and what makes it take calls without an answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{root / 'mlflow.db'}", "--artifacts-destination", str(root / "served")]
    with (root / "server.log").open("w") as log:
        job = subprocess.Popen([sys.executable, *words], stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", lambda: os.killpg(job.pid, signal.SIGSTOP)
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def client(root: Path) -> Any:
    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def runs(root: Path) -> list[Run]:
    """The newest first."""
    experiment = client(root).get_experiment_by_name(EXPERIMENT)
    return list(client(root).search_runs([experiment.experiment_id]))


def versions(root: Path) -> list[ModelVersion]:
    """By their number."""
    found = client(root).search_model_versions(f"name = '{MODEL}'")
    return sorted(found, key=lambda version: int(version.version))


def steps(root: Path, run: Run, name: str = "val_figure") -> list[tuple[int, float]]:
    history = client(root).get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in history)


def files(root: Path, run: Run, folder: str | None = None) -> list[str]:
    return [file.path for file in client(root).list_artifacts(run.info.run_id, folder)]
