"""What MLflow is told of a training while it trains, and what its troubles cost."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mlflow_stores
import trainings
from mlflow_stores import files, runs, steps, versions
from trueframe.addresses import public, without_passwords
from trueframe.tracking.store import trouble
from trueframe.tracking.tracker import EvaluationTracker, MlflowTracker

pytestmark = pytest.mark.usefixtures("no_tracking_server")


@pytest.fixture
def root(tmp_path: Path, database: Path) -> Path:
    """A workspace that has a database."""
    return mlflow_stores.workspace(tmp_path, database)


@contextmanager
def started(root: Path, lines: list[str], seed: int = 111) -> Iterator[MlflowTracker]:
    with MlflowTracker.start(root, seed, trainings.recipe(root), lines.append) as tracker:
        yield tracker


def tell(tracker: MlflowTracker, *numbers: int) -> None:
    """Tell of these epochs."""
    for row in trainings.epochs():
        if row["epoch"] in numbers:
            tracker.epoch(int(row["epoch"]), trainings.told(row))


def break_off(root: Path, error: type[BaseException], *numbers: int) -> None:
    """A training that tells of these epochs and then fails."""
    with suppress(error), started(root, []) as tracker:
        tell(tracker, *numbers)
        raise error


def test_a_copied_workspace_keeps_its_files_and_writes_none_into_the_other(tmp_path: Path, database: Path) -> None:
    (tmp_path / "first").mkdir()
    first, copy = mlflow_stores.workspace(tmp_path / "first", database), tmp_path / "the copy"
    with started(first, []) as tracker:
        tracker.finished(trainings.finish(first, 111, trainings.recipe(first)))
    before = sorted((first / "mlruns").rglob("*"))
    shutil.copytree(first, copy)
    lines: list[str] = []
    with started(copy, lines, seed=555) as tracker:
        tracker.finished(trainings.finish(copy, 555, trainings.recipe(copy)))
    assert lines == []
    assert sorted((first / "mlruns").rglob("*")) == before
    shutil.rmtree(first)
    assert len(versions(copy)) == 2
    for number, version in enumerate(versions(copy)):
        assert version.source == (copy / "mlruns" / version.run_id / "artifacts/model").as_uri()
        (tmp_path / str(number)).mkdir()
        mlflow_stores.client(copy).download_artifacts(version.run_id, "model", tmp_path / str(number))
        assert (tmp_path / str(number) / "model/MLmodel").is_file()


def test_a_training_is_a_run_with_its_recipe_and_its_epochs(root: Path) -> None:
    lines: list[str] = []
    with started(root, lines) as tracker:
        for number in range(3):
            tell(tracker, number)
            (live,) = runs(root)
            assert live.info.status == "RUNNING"
            assert live.data.metrics["lr"] == trainings.epochs()[number]["lr"]
    (run,) = runs(root)
    assert lines == []
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "seed 111"
    assert run.data.params["lr"] == "0.05"
    assert run.data.params["batches_per_epoch"] == "null"
    assert run.data.params["augmentation.flip"] == "0.5"
    assert "seeds" not in run.data.params
    digest = trainings.recipe(root).digest
    tags = {"trueframe.seed": "111", "recipe_digest": digest, "git_commit": "unknown", "git_dirty": "unknown"}
    assert tags.items() <= run.data.tags.items()
    assert steps(root, run) == [(0, 0.75), (1, 0.5), (2, 0.625)]


def test_a_finished_training_leaves_its_files_its_best_figures_and_a_model(root: Path) -> None:
    lines: list[str] = []
    with started(root, lines) as tracker:
        tell(tracker, 0, 1, 2)
        record = trainings.finish(root, 111, trainings.recipe(root))
        tracker.finished(record)
    (run,) = runs(root)
    assert lines == []
    assert run.info.status == "FINISHED"
    finals = {name: value for name, value in run.data.metrics.items() if name.startswith("final.")}
    best = trainings.epochs()[1]
    assert finals == {f"final.{name}": value for name, value in best.items()}
    assert files(root, run) == ["history.csv", "history.png", "model", "record.json", "selection.json"]
    held = mlflow_stores.client(root).download_artifacts(run.info.run_id, "selection.json", root / "small")
    assert Path(held).read_bytes() == (root / "models/111/selection.json").read_bytes()
    (version,) = versions(root)
    assert version.run_id == run.info.run_id


def test_a_killed_training_goes_on_in_its_run_and_tells_no_epoch_twice(root: Path) -> None:
    break_off(root, KeyboardInterrupt, 0, 1)
    (killed,) = runs(root)
    assert killed.info.status == "KILLED"
    with started(root, []) as tracker:
        tell(tracker, 0, 1, 2)
        (live,) = runs(root)
        assert live.info.status == "RUNNING"
    (run,) = runs(root)
    assert run.info.run_id == killed.info.run_id
    assert run.info.status == "FINISHED"
    assert steps(root, run) == [(0, 0.75), (1, 0.5), (2, 0.625)]
    assert len(run.inputs.dataset_inputs) == 4


def test_another_seed_or_recipe_or_a_finished_run_is_not_gone_on_with(root: Path) -> None:
    break_off(root, ValueError, 0)
    with started(root, [], seed=555) as tracker:
        tell(tracker, 0)
    with MlflowTracker.start(root, 111, trainings.recipe(root, lr=0.1), [].append) as tracker:
        tell(tracker, 0)
    with started(root, [], seed=555) as tracker:
        tell(tracker, 0)
    told = sorted((run.data.tags["trueframe.seed"], run.data.params["lr"], run.info.status) for run in runs(root))
    assert told == [
        ("111", "0.05", "FAILED"),
        ("111", "0.1", "FINISHED"),
        ("555", "0.05", "FINISHED"),
        ("555", "0.05", "FINISHED"),
    ]


def test_the_machine_is_watched_while_it_trains_and_in_this_store_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    monkeypatch.chdir(root / "small")
    with started(root, []) as tracker:
        time.sleep(1)
        tell(tracker, 0)
    (run,) = runs(root)
    assert 0 <= run.data.metrics["system/cpu_utilization_percentage"] <= 100
    before = steps(root, run, "system/cpu_utilization_percentage")
    time.sleep(0.5)
    assert steps(root, run, "system/cpu_utilization_percentage") == before
    assert not list((root / "small").glob("mlflow.db*"))
    assert not list((root / "small").glob("mlruns*"))


def test_an_epoch_that_could_not_be_told_is_told_with_the_next(root: Path) -> None:
    lines: list[str] = []
    with started(root, lines) as tracker:
        tell(tracker, 0)
        good = (root / "mlflow.db").read_bytes()
        (root / "mlflow.db").write_bytes(b"no database " * 10000)
        tell(tracker, 1)
        (root / "mlflow.db").write_bytes(good)
        tell(tracker, 2)
    (run,) = runs(root)
    assert len(lines) == 1
    assert steps(root, run) == [(0, 0.75), (1, 0.5), (2, 0.625)]
    assert run.info.status == "FINISHED"


def test_an_evaluation_is_one_run_with_its_figures_and_files(root: Path) -> None:
    record = trainings.evaluate(root)
    lines: list[str] = []
    for _ in range(2):
        EvaluationTracker(root, lines.append).finished(record)
    (run,) = runs(root)
    assert lines == []
    assert (run.info.run_name, run.info.status) == ("ensemble", "FINISHED")
    assert run.data.metrics == {"held_out.auc": 0.75, "held_out.videos": 4.0}
    assert run.data.tags["recipe_digest"] == record.recipe.digest
    assert files(root, run) == ["metrics.json", "record.json", "roc.png"]


def test_the_commit_and_its_changes_are_told(root: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (root / ".gitignore").write_text("*\n!file\n")
    (root / "file").write_text("a")
    git("add", "file")
    git("commit", "-q", "-m", "a")
    for dirty in ("false", "true"):
        with started(root, []):
            pass
        newest = runs(root)[0]
        assert newest.data.tags["git_commit"] == git("rev-parse", "HEAD").strip()
        assert newest.data.tags["git_dirty"] == dirty
        (root / "file").write_text("b")


def test_an_unreachable_server_costs_a_line_and_no_password(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hush@127.0.0.1:{port}")
    record = trainings.finish(root, 111, trainings.recipe(root))
    lines: list[str] = []
    begun = time.monotonic()
    with started(root, lines) as tracker:
        tell(tracker, 0, 1, 2)
        tracker.finished(record)
    EvaluationTracker(root, lines.append).finished(record)
    assert time.monotonic() - begun < 10
    assert len(lines) == 2
    assert f"MLflow (http://127.0.0.1:{port}) failed: " in lines[0]
    assert lines[0].endswith("; the work goes on without it")
    assert "hush" not in lines[0]


def test_a_server_that_never_answers_costs_seconds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")  # what the user sets is respected; ours is 5
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        lines: list[str] = []
        begun = time.monotonic()
        with started(root, lines) as tracker:
            tell(tracker, 0, 1, 2)
    assert time.monotonic() - begun < 10
    assert len(lines) == 1


@pytest.mark.long
def test_a_server_gets_it_all_and_may_fall_silent_before_the_upload(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    monkeypatch.chdir(root)
    with mlflow_stores.server(root) as (address, silence):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        lines: list[str] = []
        with started(root, lines) as tracker:
            tell(tracker, 0, 1, 2)
            tracker.finished(trainings.finish(root, 111, trainings.recipe(root)))
        assert lines == []
        (run,) = runs(root)
        assert run.info.status == "FINISHED"
        (version,) = versions(root)
        assert version.source == f"mlflow-artifacts:/1/{run.info.run_id}/artifacts/model"
        with started(root, lines, seed=555) as tracker:
            tell(tracker, 0, 1, 2)
            record = trainings.finish(root, 555, trainings.recipe(root))
            silence()
            begun = time.monotonic()
            tracker.finished(record)
        assert time.monotonic() - begun < 10
        assert len(lines) == 1


def test_a_database_that_breaks_in_mid_training_costs_a_line(root: Path) -> None:
    trainings.finish(root, 111, trainings.recipe(root))
    code = """
import sys, time
from pathlib import Path
from trueframe import records
from trueframe.tracking.tracker import MlflowTracker
root = Path(sys.argv[1])
record = records.read(root / "models/111/record.json")
with MlflowTracker.start(root, 111, record.recipe, print) as tracker:
    tracker.epoch(0, {"val_figure": 0.5})
    (root / "mlflow.db").unlink()
    (root / "mlflow.db").write_bytes(b"no database " * 10000)
    time.sleep(0.5)
    tracker.epoch(1, {"val_figure": 0.5})
    tracker.finished(record)
"""
    environment = os.environ | {"MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.2"}
    words = [sys.executable, "-c", code, str(root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("MLflow (mlflow.db) failed: ")
    assert line.endswith("; the work goes on without it")


def test_a_database_that_is_locked_costs_seconds_and_a_line(root: Path) -> None:
    record = trainings.finish(root, 111, trainings.recipe(root))
    lines: list[str] = []
    with closing(sqlite3.connect(root / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with started(root, lines) as tracker:
            tell(tracker, 0, 1, 2)
            tracker.finished(record)
        assert time.monotonic() - begun < 20
        holder.execute("ROLLBACK")
    (line,) = lines
    assert line.startswith("MLflow (mlflow.db) failed: ")
    assert "database is locked" in line
    with started(root, lines) as tracker:
        tell(tracker, 0, 1, 2)
    assert len(runs(root)) == 1
    assert lines == [line]


def test_a_registry_that_fails_costs_a_line_and_the_run_is_finished(root: Path) -> None:
    lines: list[str] = []
    with closing(sqlite3.connect(root / "mlflow.db")) as tables:
        tables.execute("DROP TABLE model_versions")
    with started(root, lines) as tracker:
        tell(tracker, 0, 1, 2)
        tracker.finished(trainings.finish(root, 111, trainings.recipe(root)))
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert "selection.json" in files(root, run)
    assert len(lines) == 1


def test_trainings_that_start_together_share_one_new_database(root: Path) -> None:
    (root / "mlflow.db").unlink()
    for seed in trainings.SEEDS:
        trainings.finish(root, seed, trainings.recipe(root))
    code = """
import sys
from pathlib import Path
from trueframe import records
from trueframe.tracking.tracker import MlflowTracker
root, seed = Path(sys.argv[1]), sys.argv[2]
record = records.read(root / f"models/{seed}/record.json")
with MlflowTracker.start(root, int(seed), record.recipe, sys.exit) as tracker:
    tracker.epoch(0, {"val_figure": 0.5})
    tracker.finished(record)
"""
    words = [sys.executable, "-c", code, str(root)]
    jobs = [subprocess.Popen([*words, str(seed)], stderr=subprocess.PIPE, text=True) for seed in trainings.SEEDS]
    assert [(job.communicate(timeout=120)[1], job.returncode) for job in jobs] == [("", 0)] * 2
    assert sorted(run.data.tags["trueframe.seed"] for run in runs(root)) == ["111", "555"]
    assert sorted(version.tags["trueframe.seed"] for version in versions(root)) == ["111", "555"]
    assert [int(version.version) for version in versions(root)] == [1, 2]


@example("§@§")
@example("§?§@§")
@given(st.text(alphabet="§@:/?#&=%+'\\ \n", min_size=1).filter(lambda text: "§" in text))
def test_nothing_of_a_password_is_shown_wherever_it_stands_in_an_address(password: str) -> None:
    uris = (
        f"http://u:{password}@h",
        f"mysql+x://u:a/{password}@h:1/d?x=y",
        f"postgresql://h/d?user=u&password={password}",
    )
    assert not any("§" in public(uri) for uri in uris)
    if not {"?", "@"} & set(password):
        assert [public(uri) for uri in uris] == ["http://h", "mysql+x://h:1/d", "postgresql://h/d"]
    if not {" ", "\n"} & set(password):
        assert "§" not in without_passwords(f"could not ask '{uris[0]}', ({uris[1]}) or {uris[2]}")
    if not {" ", "\n", "/"} & set(password):
        assert without_passwords(f"no host named {password}@h") == "no host named h"


def test_an_error_of_mlflows_is_told_without_password_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://me:my {'x' * 300}hush@h/store"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert trouble(OSError(f"{uri}: no answer\nmore")) == "MLflow (http://h/store) failed: http://h/store: no answer"
