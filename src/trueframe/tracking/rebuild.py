"""MLflow's runs made again from a clone's artifacts and records, for a new database or after a server's absence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trueframe.dag import ONE, STAGES
from trueframe.errors import UserError
from trueframe.records import Record
from trueframe.tracking import registry, runs, store
from trueframe.tracking.runs import ENSEMBLE, TrainingRun
from trueframe.tracking.store import FINISHED, Store
from trueframe.workspace import Workspace


def rebuild(workspace: Workspace) -> Iterator[str]:
    """Complete MLflow's runs, of every trained seed and of the evaluation; a line for each.

    A finished run and a registered version of the same seed and recipe stay as they are. Raises UserError where there
    is nothing to make a run of, or MLflow fails.
    """
    seeds = {f"seed {unit}": _whole(workspace, "models", unit) for unit in workspace.layout.units("models")}
    evaluation = _whole(workspace, "evaluation", ONE)
    if not any([*seeds.values(), evaluation]):
        raise UserError("models: none is here; run dvc pull, or snakemake --cores all submission")
    with store.needed():
        mlflow = Store.of(workspace.root, patient=True)
        for name, record in seeds.items():
            yield _told(name, record, record is not None and _train_again(workspace.root, mlflow, record))
        made = evaluation is not None and runs.publish_evaluation(workspace.root, mlflow, evaluation)
        yield _told(ENSEMBLE, evaluation, made)


def _whole(workspace: Workspace, stage: str, unit: str) -> Record | None:
    """A unit's record; None where it or one of its files is not here."""
    record = workspace.record(stage, unit)
    whole = record is not None and all((workspace.root / path).is_file() for path in record.outputs)
    return record if whole else None


def _told(name: str, record: Record | None, made: bool) -> str:
    if record is None:
        return f"{name}: its files are not here; run dvc pull"
    return f"{name}: made" if made else f"{name}: is there"


def _train_again(workspace: Path, mlflow: Store, record: Record) -> bool:
    """Tell MLflow in a moment what it hears of a training; returns whether it lacked any of that."""
    seed, recipe = int(record.unit), record.recipe
    tags = runs.training_tags(seed, recipe)
    finished = mlflow.finished(tags)
    if finished and registry.find(mlflow.client, tags):
        return False
    if finished:
        run = TrainingRun(workspace, mlflow, finished, seed, recipe)
    else:
        run = TrainingRun.begin(workspace, mlflow, seed, recipe)
    run.log_inputs()
    history = Path(STAGES["models"].outputs["history"].format(unit=record.unit))
    for row in runs.history(workspace / history):
        run.epoch(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})
    run.publish(record)
    run.end(FINISHED)
    return True
