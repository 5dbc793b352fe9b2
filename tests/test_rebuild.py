"""MLflow's runs made again from the files of a clone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import mlflow_stores
import trainings
from mlflow_stores import files, runs, steps, versions
from trueframe.errors import UserError
from trueframe.tracking import registry
from trueframe.tracking.rebuild import rebuild
from trueframe.tracking.tracker import MlflowTracker
from trueframe.workspace import Workspace

MADE = ["seed 111: made", "seed 555: made", "ensemble: made"]
THERE = ["seed 111: is there", "seed 555: is there", "ensemble: is there"]


pytestmark = pytest.mark.usefixtures("no_tracking_server")


@pytest.fixture
def root(tmp_path: Path, database: Path) -> Path:
    """A workspace with two trained seeds and an evaluation, of which MLflow knows nothing."""
    root = mlflow_stores.workspace(tmp_path, database)
    for seed in trainings.SEEDS:
        trainings.finish(root, seed, trainings.recipe(root))
    trainings.evaluate(root)
    return root


def again(root: Path) -> list[str]:
    return list(rebuild(Workspace(root)))


def state(root: Path) -> Any:
    return [(run.info.run_id, run.info.status, run.data.metrics, run.data.tags) for run in runs(root)]


def without_git(tags: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if not name.startswith("git_")}


def test_a_rebuilt_run_says_what_the_trainings_own_says(root: Path, database: Path) -> None:
    with MlflowTracker.start(root, 111, trainings.recipe(root), [].append) as tracker:
        for row in trainings.epochs():
            tracker.epoch(int(row["epoch"]), trainings.told(row))
        tracker.finished(trainings.finish(root, 111, trainings.recipe(root)))
    (live,) = runs(root)
    (version,) = versions(root)
    told = (live.data.params, live.data.metrics, live.inputs.to_dictionary(), files(root, live), steps(root, live))
    tags = without_git(live.data.tags)
    clone = Path(shutil.copytree(root, root / "clone", ignore=shutil.ignore_patterns("mlruns", "mlflow.db*")))
    shutil.copyfile(database, clone / "mlflow.db")
    root = clone
    assert again(root) == MADE
    (run,) = (run for run in runs(root) if run.data.tags.get("trueframe.seed") == "111")
    assert run.info.status == "FINISHED"
    assert (run.data.params, run.data.metrics, run.inputs.to_dictionary(), files(root, run), steps(root, run)) == told
    assert run.data.tags == tags
    (rebuilt,) = (found for found in versions(root) if found.run_id == run.info.run_id)
    assert rebuilt.tags == version.tags


def test_a_second_rebuild_makes_nothing(root: Path) -> None:
    assert again(root) == MADE
    before = state(root)
    assert len(before) == 3
    assert again(root) == THERE
    assert state(root) == before
    assert [int(version.version) for version in versions(root)] == [1, 2]


def test_a_rebuild_completes_what_a_servers_absence_left_undone(root: Path) -> None:
    with MlflowTracker.start(root, 111, trainings.recipe(root), [].append) as tracker:
        tracker.epoch(0, trainings.told(trainings.epochs()[0]))
    assert versions(root) == []
    (unfinished,) = runs(root)
    mlflow_stores.client(root).update_run(unfinished.info.run_id, "RUNNING")
    assert again(root) == MADE
    (run,) = (run for run in runs(root) if run.data.tags.get("trueframe.seed") == "111")
    assert run.info.run_id == unfinished.info.run_id
    assert run.data.tags == unfinished.data.tags
    assert run.info.status == "FINISHED"
    assert steps(root, run) == [(0, 0.75), (1, 0.5), (2, 0.625)]


def test_a_finished_run_without_a_version_gets_one(root: Path) -> None:
    with MlflowTracker.start(root, 111, trainings.recipe(root), [].append) as tracker:
        for row in trainings.epochs():
            tracker.epoch(int(row["epoch"]), trainings.told(row))
    (finished,) = runs(root)
    assert again(root) == MADE
    assert versions(root)[0].run_id == finished.info.run_id
    assert len(runs(root)) == 3


def test_files_that_are_not_here_are_told_and_the_others_are_rebuilt(root: Path) -> None:
    (root / "models/111/weights_2.safetensors").unlink()
    shutil.rmtree(root / "reports")
    told = again(root)
    assert told == [
        "seed 111: its files are not here; run dvc pull",
        "seed 555: made",
        "ensemble: its files are not here; run dvc pull",
    ]
    assert [run.data.tags["trueframe.seed"] for run in runs(root)] == ["555"]


def test_the_crops_need_not_be_here(root: Path) -> None:
    shutil.rmtree(root / "data/crops")
    (root / trainings.FOLDS).unlink()
    assert again(root) == MADE
    (run,) = (run for run in runs(root) if run.data.tags.get("trueframe.seed") == "111")
    assert len(run.inputs.dataset_inputs) == 4


def test_without_anything_trained_it_says_so(root: Path) -> None:
    shutil.rmtree(root / "models")
    shutil.rmtree(root / "reports")
    with pytest.raises(UserError, match="none is here; run dvc pull"):
        again(root)


def test_an_unreachable_server_is_the_users_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"MLflow \(http://127.0.0.1:9\) failed: .*; start the server"):
        again(root)


def test_the_champion_can_be_chosen_from_rebuilt_runs(root: Path) -> None:
    trainings.finish(root, 555, trainings.recipe(root), (0.75, 0.25, 0.5))
    again(root)
    assert registry.crown(Workspace(root), seed=111).endswith("the first")
    assert registry.crown(Workspace(root)).endswith("in place of version 1")
