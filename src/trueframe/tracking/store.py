"""Where MLflow keeps what it is told: its client for a workspace, the runs in there, and how long we wait for it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from trueframe.addresses import public, without_passwords
from trueframe.errors import UserError
from trueframe.tracking import moved

EXPERIMENT = "trueframe"
DIGEST, SEED = "recipe_digest", "trueframe.seed"  # tags: what was trained
FIGURE = "val_figure"  # which every epoch has; the lowest is chosen
DATABASE = Path("mlflow.db")
ARTIFACTS = Path("mlruns")
FINISHED = "FINISHED"
_LOCK_S = 60.0
# MLflow's own patience, two minutes a request and many times over, would cost a training hours. Set by hand, it stays.
_FEW_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"}
_SHORT_TIMEOUT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
_CHATTER = ("alembic", "urllib3")
_LINE = 200  # letters of an error that are told
# A single call may take longer, for a server may answer late; then it was the last one.
_PATIENCE_S = 4.0

Value = TypeVar("Value")


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store with our experiment in it. client: MLflow's own; what fails in it raises."""

    client: Any
    uri: str
    experiment: str

    @classmethod
    def of(cls, workspace: Path, patient: bool = False) -> Store:
        """The store at MLFLOW_TRACKING_URI or else in the workspace's mlflow.db.

        patient: wait for a slow server as long as MLflow does, for who asked for MLflow and nothing else.
        """
        for name, value in (_FEW_RETRIES if patient else _FEW_RETRIES | _SHORT_TIMEOUT).items():
            os.environ.setdefault(name, value)
        # It logs a trouble with its traceback and raises it too; we tell it in a line.
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
        for name in _CHATTER:
            logging.getLogger(name).setLevel(logging.ERROR)
        from mlflow import MlflowClient

        own = f"sqlite:///{workspace.absolute() / DATABASE}"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or own
        place = (workspace.absolute() / ARTIFACTS).as_uri() if uri == own else None
        with lock(workspace):  # the first to come makes a database's tables; two at once would trip over each other
            client = MlflowClient(uri)
            found = client.get_experiment_by_name(EXPERIMENT)
            if found and place and _left_behind(found.artifact_location, place):
                moved.follow(workspace / DATABASE, found.artifact_location, place)
            number = found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=place)
        return cls(client, uri, str(number))

    def finished(self, tags: Mapping[str, str]) -> str | None:
        """The id of the newest finished run that has these tags; None where there is none."""
        return self._newest(f"{_having(tags)} and attributes.status = '{FINISHED}'")

    def begin(self, name: str, tags: Mapping[str, str], more_tags: Mapping[str, str]) -> str:
        """The id of the run with these tags that did not finish, to go on in, or else of a new one.

        name, more_tags: of a new one.
        """
        begun = self._newest(f"{_having(tags)} and attributes.status != '{FINISHED}'")
        if begun is None:
            run = self.client.create_run(self.experiment, run_name=name, tags={**tags, **more_tags})
            return str(run.info.run_id)
        self.client.update_run(begun, "RUNNING")
        return begun

    def _newest(self, wanted: str) -> str | None:
        found = self.client.search_runs([self.experiment], wanted, order_by=["attributes.start_time DESC"])
        return str(found[0].info.run_id) if found else None


class Patience:
    """Tries what MLflow may fail at. Trouble costs one line and some seconds in all."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """say: tells the user a line."""
        self._say = say
        self._told = False
        self._lost_s = 0.0

    @property
    def left_s(self) -> float:
        """Seconds that may still be lost."""
        return max(0.0, _PATIENCE_S - self._lost_s)

    def attempt(self, action: Callable[[], Value]) -> Value | None:
        """The action's value; None where it fails, or where the ones before it have cost too much."""
        if not self.left_s:
            return None
        begun = time.monotonic()
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - whatever a server or its database does, the work goes on
            self._lost_s += time.monotonic() - begun
            if not self._told:
                self._say(f"{trouble(error)}; the work goes on without it")
            self._told = True
            return None


def _left_behind(location: str, place: str) -> bool:
    """Whether our folder's name stands at another place; what a person chose by hand has other names."""
    return location != place and location.startswith("file:") and location.endswith(f"/{ARTIFACTS}")


def _having(tags: Mapping[str, str]) -> str:
    return " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())


def lock(workspace: Path) -> FileLock:
    """Held by one process of the workspace at a time."""
    return FileLock(workspace / f"{DATABASE}.lock", timeout=_LOCK_S)


def trouble(error: Exception) -> str:
    """Where MLflow is and the first line of what went wrong there, without passwords."""
    where = os.environ.get("MLFLOW_TRACKING_URI") or str(DATABASE)
    shown = public(where)
    told = (str(error).replace(where, shown).strip().splitlines() or [type(error).__name__])[0]
    return f"MLflow ({shown}) failed: {without_passwords(told)[:_LINE]}"


@contextmanager
def needed() -> Iterator[None]:
    """Turn MLflow's errors into UserErrors, for who asked for MLflow and nothing else."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise UserError(f"{trouble(error)}; start the server, or set or unset MLFLOW_TRACKING_URI") from error
