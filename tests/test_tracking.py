"""What MLflow is told of a training, and what its troubles cost."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import small_data
from trueframe.files import sha256_file
from trueframe.tracking import EXPERIMENT, MlflowTracker

PARAMS = {"lr": 0.05, "batches_per_epoch": None, "seeds": [111, 555], "augmentation": {"flip": 0.5}}
EPOCHS = ({"val_figure": 0.7, "lr": 0.1}, {"val_figure": 0.5, "lr": 0.05}, {"val_figure": 0.6, "lr": 0.0})


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, which takes MLflow ten seconds to make."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").get_experiment_by_name(EXPERIMENT)
    return path


@pytest.fixture
def folds(tmp_path: Path, database: Path) -> Path:
    """The folds of a workspace, `tmp_path`, that has a database."""
    shutil.copyfile(database, tmp_path / "mlflow.db")
    return small_data.write(tmp_path).folds


def start(workspace: Path, folds: Path, lines: list[str], seed: int = 111) -> MlflowTracker:
    return MlflowTracker.start(workspace, seed, PARAMS, "abc", folds, lines.append)


def runs(workspace: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_a_training_is_a_run_with_its_recipe_its_data_and_its_epochs(tmp_path: Path, folds: Path) -> None:
    lines: list[str] = []
    with start(tmp_path, folds, lines) as tracker:
        for number, figures in enumerate(EPOCHS):
            tracker.epoch(number, figures)
            (live,) = runs(tmp_path)
            assert live.info.status == "RUNNING"
            assert live.data.metrics["lr"] == figures["lr"]
    (run,) = runs(tmp_path)
    assert lines == []
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "lr": "0.05",
        "batches_per_epoch": "null",
        "seeds": "[111, 555]",
        "augmentation.flip": "0.5",
    }
    assert run.data.metrics == {"val_figure": 0.6, "lr": 0.0, "final.val_figure": 0.5, "final.lr": 0.05}
    tags = {"trueframe.seed": "111", "recipe_digest": "abc", "git_commit": "unknown", "git_dirty": "unknown"}
    assert tags.items() <= run.data.tags.items()
    history = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_metric_history(run.info.run_id, "val_figure")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.7), (1, 0.5), (2, 0.6)]
    (given,) = run.inputs.dataset_inputs
    digest = sha256_file(folds)
    assert given.dataset.digest == digest[:36]
    assert json.loads(given.dataset.profile) == {
        "sha256": digest,
        "crops": {"fake": 18, "real": 9},
        "videos": {"fake": 6, "real": 3},
    }
    assert json.loads(given.dataset.source) == {"uri": "folds.parquet"}
    assert (given.tags[0].key, given.tags[0].value) == ("mlflow.data.context", "training")


def test_final_figures_can_be_given(tmp_path: Path, folds: Path) -> None:
    with start(tmp_path, folds, []) as tracker:
        tracker.epoch(0, EPOCHS[0])
        tracker.finish({"val_figure": 0.25})
    (run,) = runs(tmp_path)
    assert run.data.metrics["final.val_figure"] == 0.25


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_training_that_breaks_off_says_so(
    tmp_path: Path, folds: Path, error: type[BaseException], status: str
) -> None:
    def broken() -> None:
        with start(tmp_path, folds, []) as tracker:
            tracker.epoch(0, EPOCHS[0])
            raise error

    with pytest.raises(error):
        broken()
    (run,) = runs(tmp_path)
    assert run.info.status == status
    assert "final.val_figure" not in run.data.metrics


def test_the_commit_and_its_changes_are_told(tmp_path: Path, folds: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (tmp_path / ".gitignore").write_text("*\n!file\n")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-q", "-m", "a")
    for dirty in ("false", "true"):
        with start(tmp_path, folds, []):
            pass
        newest = runs(tmp_path)[0]
        assert newest.data.tags["git_commit"] == git("rev-parse", "HEAD").strip()
        assert newest.data.tags["git_dirty"] == dirty
        (tmp_path / "file").write_text("b")


def test_an_unreachable_server_costs_a_line_and_no_password(
    tmp_path: Path, folds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hush@127.0.0.1:{port}")
    lines: list[str] = []
    begun = time.monotonic()
    with start(tmp_path, folds, lines) as tracker:
        for number, figures in enumerate(EPOCHS):
            tracker.epoch(number, figures)
    assert time.monotonic() - begun < 10
    assert len(lines) == 1
    assert f"MLflow (http://127.0.0.1:{port}) failed, the training goes on without it" in lines[0]
    assert "hush" not in lines[0]


def test_a_server_that_never_answers_costs_seconds(
    tmp_path: Path, folds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # what the user sets is respected; ours is 5
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        lines: list[str] = []
        begun = time.monotonic()
        with start(tmp_path, folds, lines) as tracker:
            tracker.epoch(0, EPOCHS[0])
    assert time.monotonic() - begun < 10
    assert len(lines) == 1


def test_a_database_that_breaks_in_mid_training_costs_a_line(tmp_path: Path, folds: Path) -> None:
    lines: list[str] = []
    with start(tmp_path, folds, lines) as tracker:
        tracker.epoch(0, EPOCHS[0])
        (tmp_path / "mlflow.db").write_bytes(b"no database " * 10000)
        for number, figures in enumerate(EPOCHS):
            tracker.epoch(number, figures)
    assert len(lines) == 1
    assert lines[0].startswith("MLflow (mlflow.db) failed, the training goes on without it: ")
    assert "\n" not in lines[0]


def test_trainings_that_start_together_share_one_new_database(tmp_path: Path, folds: Path) -> None:
    (tmp_path / "mlflow.db").unlink()
    code = """
import sys
from pathlib import Path
from trueframe.tracking import MlflowTracker
workspace, folds, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with MlflowTracker.start(workspace, seed, {}, "abc", folds, sys.exit) as tracker:
    tracker.epoch(0, {"val_figure": seed})
"""
    words = [sys.executable, "-c", code, str(tmp_path), str(folds)]
    jobs = [subprocess.Popen([*words, str(seed)], stderr=subprocess.PIPE, text=True) for seed in (1, 2)]
    assert [(job.communicate(timeout=120)[1], job.returncode) for job in jobs] == [("", 0)] * 2
    assert sorted(run.data.tags["trueframe.seed"] for run in runs(tmp_path)) == ["1", "2"]
