"""A workspace that was moved or copied: its database still names the folder where MLflow's files lay."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow(database: Path, old: str, new: str) -> None:
    """Let every place below the folder `old` be the same one below `new`; both are URIs without a slash at the end.

    MLflow writes them down as absolute, and has no call to change them: a copy's runs would put their files into the
    workspace that it was copied from.
    """
    with closing(sqlite3.connect(database)) as tables, tables:
        for table, column in _COLUMNS:
            tables.execute(
                f"update {table} set {column} = :new || substr({column}, length(:old) + 1) "  # noqa: S608 - our words
                f"where {column} = :old or substr({column}, 1, length(:old) + 1) = :old || '/'",
                {"old": old, "new": new},
            )
