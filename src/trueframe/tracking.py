"""MLflow hears of each training: a run per seed. Trouble with it costs one line, never a training."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock

from trueframe.files import sha256_file

EXPERIMENT = "trueframe"
UNKNOWN = "unknown"
_LOCK_S = 60.0
# MLflow's own patience, two minutes a request and many times over, would cost a training hours. Set by hand, it stays.
_IMPATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_CHATTER = ("alembic", "urllib3")
_DIGEST_LENGTH = 36  # the most that MLflow keeps of a data set's digest; the profile has it whole
_LINE = 200  # letters of an error that are told
_CHOSEN_BY = "val_figure"


class MlflowTracker:
    """A training's run in MLflow. A tools.Tracker and a context manager: the run ends FINISHED, FAILED or KILLED."""

    def __init__(self, say: Callable[[str], None], connect: Callable[[], tuple[Any, str]]) -> None:
        """connect: gives MLflow's client and the id of a new run; say: tells the user a line."""
        self._say = say
        self._epochs: list[dict[str, float]] = []
        self._finished = False
        self._broken = False
        self._client: Any = None
        self._run = ""
        self._client, self._run = self._attempt(connect) or (None, "")

    @classmethod
    def start(
        cls,
        workspace: Path,
        seed: int,
        params: Mapping[str, Any],
        recipe_digest: str,
        dataset: Path,
        say: Callable[[str], None],
    ) -> MlflowTracker:
        """Begin a run for a seed's training, in MLFLOW_TRACKING_URI or else in the workspace's mlflow.db.

        params: the stage's section, logged flat; dataset: the folds table, logged as the run's input.
        """

        def connect() -> tuple[Any, str]:
            client = _client(workspace)
            run = client.create_run(_experiment(client, workspace), run_name=f"seed {seed}").info.run_id
            tags = {"trueframe.seed": str(seed), "recipe_digest": recipe_digest} | _git(workspace)
            _describe(client, run, dict(_flat(params)), tags)
            _log_input(client, run, dataset, workspace)
            return client, run

        return cls(say, connect)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Log an epoch's figures, with its number as MLflow's step."""
        self._epochs.append(dict(figures))
        self._log(figures, number)

    def finish(self, figures: Mapping[str, float]) -> None:
        """Log the training's final figures, as `final.<name>`."""
        self._finished = True
        self._log({f"final.{name}": value for name, value in figures.items()}, 0)

    def __enter__(self) -> MlflowTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run. One that went well and was not finished by hand gets the figures of its best epoch."""
        if kind is None and not self._finished and self._epochs and _CHOSEN_BY in self._epochs[0]:
            self.finish(min(self._epochs, key=lambda figures: figures[_CHOSEN_BY]))
        status = "FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        self._attempt(lambda: self._client.set_terminated(self._run, status))

    def _log(self, figures: Mapping[str, float], step: int) -> None:
        def log() -> None:
            from mlflow.entities import Metric

            now_ms = int(time.time() * 1000)
            metrics = [Metric(name, float(value), now_ms, step) for name, value in figures.items()]
            self._client.log_batch(self._run, metrics=metrics)

        self._attempt(log)

    def _attempt(self, action: Callable[[], Any]) -> Any:
        """The action's value; None once MLflow has failed, which is told the first time."""
        if self._broken:
            return None
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - whatever a server or its database does, the training goes on
            self._broken = True
            where = os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db")
            trouble = f"MLflow ({where}) failed, the training goes on without it: {_first_line(error)}"
            self._say(_without_secrets(trouble))
            return None


def _client(workspace: Path) -> Any:
    for name, value in _IMPATIENCE.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for name in _CHATTER:
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.absolute() / 'mlflow.db'}"
    with _lock(workspace):  # the first to come makes a database's tables; two at once would trip over each other
        client = MlflowClient(uri)
        client.get_experiment_by_name(EXPERIMENT)
    return client


def _lock(workspace: Path) -> FileLock:
    return FileLock(workspace / "mlflow.db.lock", timeout=_LOCK_S)


def _experiment(client: Any, workspace: Path) -> str:
    with _lock(workspace):
        found = client.get_experiment_by_name(EXPERIMENT)
        return str(found.experiment_id if found else client.create_experiment(EXPERIMENT))


def _describe(client: Any, run: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    from mlflow.entities import Param, RunTag

    client.log_batch(
        run,
        params=[Param(name, value) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "null" if value is None else str(value)


def _log_input(client: Any, run: str, dataset: Path, workspace: Path) -> None:
    """Log the folds table as the data that trained: its digest, and how many crops and videos of each class."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = sha256_file(dataset)
    table = pq.read_table(dataset, columns=["part", "video", "label"])
    videos = table.group_by(["part", "video"]).aggregate([("label", "max")])
    fakes = {"crops": pc.sum(table["label"]).as_py() or 0, "videos": pc.sum(videos["label_max"]).as_py() or 0}
    profile = {"sha256": digest} | {
        name: {"fake": fakes[name], "real": len(rows) - fakes[name]}
        for name, rows in (("crops", table), ("videos", videos))
    }
    source = dataset.relative_to(workspace) if dataset.is_relative_to(workspace) else dataset
    where = json.dumps({"uri": str(source)})
    data = Dataset("folds", digest[:_DIGEST_LENGTH], "local", where, profile=json.dumps(profile))
    client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])


def _git(workspace: Path) -> dict[str, str]:
    """Which commit's code trains, and whether files differ from it."""
    commit = _git_says(workspace, "rev-parse", "HEAD")
    changes = _git_says(workspace, "status", "--porcelain")
    dirty = UNKNOWN if changes is None else str(bool(changes)).lower()
    return {"git_commit": commit or UNKNOWN, "git_dirty": dirty}


def _git_says(folder: Path, *words: str) -> str | None:
    """What git answers; None where there is no git or no repository."""
    try:
        return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def _without_secrets(text: str) -> str:
    """The text without what stands between :// and @ in an address."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LINE]
