"""MLflow's run of a training or an evaluation, read from the workspace's own database without MLflow."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Run:
    """A run in MLflow."""

    run_id: str
    name: str
    status: str


def known(root: Path, record: Record) -> list[Run]:
    """The runs of what a record tells in the workspace's mlflow.db, the newest first; none where there is no file."""
    path = root / DATABASE
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(_RUNS, (_DIGEST, record.recipe.digest, _SEED, record.unit))
            return [Run(*row) for row in rows]
    except sqlite3.Error:
        return []  # no database of MLflow's, or one of a version that has other tables: then no run is known


def elsewhere() -> str | None:
    """The tracking server that the environment names, which is not asked; None where the workspace's own serves."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None
