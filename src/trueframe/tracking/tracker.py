"""MLflow hears of a training while it trains, and of an evaluation. Trouble with it costs one line, never the work."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from trueframe.records import Recipe, Record
from trueframe.tracking import runs
from trueframe.tracking.runs import TrainingRun
from trueframe.tracking.store import FINISHED, Patience, Store

UNKNOWN = "unknown"


class MlflowTracker:
    """A training's run in MLflow. A tools.Tracker and a context manager: the run ends FINISHED, FAILED or KILLED."""

    def __init__(self, begin: Callable[[], TrainingRun], say: Callable[[str], None]) -> None:
        """begin: gives the run; say: tells the user a line."""
        self._patience = Patience(say)
        self._run = self._patience.attempt(begin)
        self._monitor: Any = None
        self._tell(TrainingRun.log_inputs)

    @classmethod
    def start(cls, workspace: Path, seed: int, recipe: Recipe, say: Callable[[str], None]) -> MlflowTracker:
        """The run of a seed's training, in MLFLOW_TRACKING_URI or else in the workspace's mlflow.db.

        A training that goes on where a killed one stopped goes on in the same run.
        """
        return cls(lambda: TrainingRun.begin(workspace, Store.of(workspace), seed, recipe, _git(workspace)), say)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Log an epoch's figures, with its number as MLflow's step, unless the run has them."""
        self._tell(lambda run: run.epoch(number, figures))

    def finished(self, record: Record) -> None:
        """Log the finished training's figures and files, and register its model."""
        self._tell(lambda run: run.publish(record))

    def __enter__(self) -> MlflowTracker:
        self._monitor = self._tell(TrainingRun.monitor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run and what watches the machine."""
        if self._monitor is not None:
            # It may wait for a server, and we would wait for it.
            ending = threading.Thread(target=self._monitor.finish, daemon=True)
            ending.start()
            ending.join(self._patience.left_s)
        status = FINISHED if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        self._tell(lambda run: run.end(status))

    def _tell(self, action: Callable[[TrainingRun], Any]) -> Any:
        run = self._run
        return None if run is None else self._patience.attempt(lambda: action(run))


class EvaluationTracker:
    """A tools.Tracker that logs an evaluation when it is finished."""

    def __init__(self, workspace: Path, say: Callable[[str], None]) -> None:
        """say: tells the user a line."""
        self._workspace, self._patience = workspace, Patience(say)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Nothing: an evaluation has none."""

    def finished(self, record: Record) -> None:
        """Log its figures and files."""
        self._patience.attempt(lambda: runs.publish_evaluation(self._workspace, Store.of(self._workspace), record))


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
