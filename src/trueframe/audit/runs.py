"""MLflow's run of a training or an evaluation, read from the workspace's own database without MLflow."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueframe.addresses import public
from trueframe.records import Record

DATABASE = Path("mlflow.db")
# The tags by which tracking.store tells runs apart.
_DIGEST, _SEED = "recipe_digest", "trueframe.seed"
_RUNS = (
    "select runs.run_uuid, runs.name, runs.status from runs "
    "join tags as recipes on recipes.run_uuid = runs.run_uuid and recipes.key = ? and recipes.value = ? "
    "left join tags as seeds on seeds.run_uuid = runs.run_uuid and seeds.key = ? "
    "where runs.lifecycle_stage = 'active' and (seeds.value is null or seeds.value = ?) order by runs.start_time desc"
)

_HOLDING = (
    "select runs.run_uuid, runs.name, runs.lifecycle_stage, model_versions.name, model_versions.version from runs "
    "join tags as recipes on recipes.run_uuid = runs.run_uuid and recipes.key = ? and recipes.value = ? "
    "left join model_versions on model_versions.run_id = runs.run_uuid "
    "order by runs.start_time, runs.run_uuid, model_versions.version"
)


@dataclass(frozen=True)
class Held:
    """A run in MLflow that keeps files of a recipe. deleted: marked so, files and all still there; version: its model's
    name and number in the registry, None where it has none.
    """

    run_id: str
    name: str
    deleted: bool
    version: tuple[str, int] | None


@dataclass(frozen=True)
class Run:
    """A run in MLflow."""

    run_id: str
    name: str
    status: str


def known(root: Path, record: Record) -> list[Run]:
    """The runs of what a record tells in the workspace's mlflow.db, the newest first; none where there is no file."""
    return [Run(*row) for row in _ask(root, _RUNS, (_DIGEST, record.recipe.digest, _SEED, record.unit))]


def holding(root: Path, recipe: str) -> list[Held]:
    """The runs of a recipe's digest in the same database, of all seeds, the oldest first, deleted ones included."""
    rows = _ask(root, _HOLDING, (_DIGEST, recipe))
    return [
        Held(run_id, name, stage == "deleted", (model, version) if model else None)
        for run_id, name, stage, model, version in rows
    ]


def _ask(root: Path, question: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
    path = root / DATABASE
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return list(database.execute(question, values))
    except sqlite3.Error:
        return []  # no database of MLflow's, or one of a version that has other tables: then no run is known


def elsewhere() -> str | None:
    """The tracking server that the environment names, to be shown, not asked; None where the workspace's own serves."""
    return public(os.environ.get("MLFLOW_TRACKING_URI", "")) or None
