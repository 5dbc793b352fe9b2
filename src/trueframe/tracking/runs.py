"""Runs in MLflow: a training's, epoch by epoch, then its files and its model; the evaluation's. Trouble raises."""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueframe.dag import STAGES
from trueframe.records import Recipe, Record
from trueframe.tracking import history_plot, lineage, registry
from trueframe.tracking.store import DIGEST, FIGURE, FINISHED, SEED, Store

ENSEMBLE = "ensemble"
_STAGE = "trueframe.stage"
_METRICS = Path(STAGES["evaluation"].outputs["metrics"])
_SAMPLE_EVERY_S = 15  # a point of every system metric: 240 an hour


class TrainingRun:
    """A training's run."""

    def __init__(self, workspace: Path, mlflow: Store, run_id: str, seed: int, recipe: Recipe) -> None:
        """run_id: of a run that is there. What it lacks of the training's parameters and data is logged."""
        self._workspace, self._mlflow, self._id, self._seed, self._recipe = workspace, mlflow, run_id, seed, recipe
        self._logged = {point.step for point in mlflow.client.get_metric_history(run_id, FIGURE)}
        self._waiting: list[Any] = []
        mlflow.client.log_batch(run_id, params=_params(recipe))

    @classmethod
    def begin(
        cls, workspace: Path, mlflow: Store, seed: int, recipe: Recipe, tags: Mapping[str, str] | None = None
    ) -> TrainingRun:
        """The run of this seed and recipe that did not finish, to go on in, or else a new one, which has these tags."""
        run_id = mlflow.begin(f"seed {seed}", training_tags(seed, recipe), tags or {})
        return cls(workspace, mlflow, run_id, seed, recipe)

    def log_inputs(self) -> None:
        """Log the data that trains, unless the run has it."""
        if not self._mlflow.client.get_run(self._id).inputs.dataset_inputs:
            self._mlflow.client.log_inputs(self._id, lineage.inputs(self._workspace, self._recipe))

    def monitor(self) -> Any:
        """Start to log what the machine does; the monitor's `finish()` ends that."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(
            self._id, sampling_interval=_SAMPLE_EVERY_S, resume_logging=True, tracking_uri=self._mlflow.uri
        )
        monitor.start()
        return monitor

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Log an epoch's figures with its number as MLflow's step, and those that could not be logged before.

        An epoch that the run has, from this process or an earlier one, is left as it is.
        """
        if number not in self._logged:
            self._logged.add(number)
            self._waiting += _metrics(figures, number)
        if self._waiting:
            self._mlflow.client.log_batch(self._id, metrics=self._waiting)
            self._waiting = []

    def publish(self, record: Record) -> None:
        """Log the best epoch's figures as `final.<name>`, the files, and the model, which gets a version.

        record: of the finished training, whose files are in place.
        """
        client = self._mlflow.client
        files = {Path(path).name: self._workspace / path for path in record.outputs}
        selection = json.loads(files["selection.json"].read_text(encoding="utf-8"))
        best = {name: value for name, value in numbers(selection["kept"][0]) if name != "rank"}
        client.log_batch(self._id, metrics=_metrics({f"final.{name}": value for name, value in best.items()}, 0))
        own = self._workspace / STAGES["models"].record_path(record.unit)
        with tempfile.TemporaryDirectory() as folder:
            plot = Path(folder, "history.png")
            history_plot.draw(plot, history(files["history.csv"]), [kept["epoch"] for kept in selection["kept"]])
            for path in (files["history.csv"], files["selection.json"], own, plot):
                client.log_artifact(self._id, str(path))
        weights = [files[kept["file"]] for kept in selection["kept"]]
        tags = training_tags(self._seed, self._recipe) | {FIGURE: str(best[FIGURE])}
        registry.register(client, self._id, weights, tags)

    def end(self, status: str) -> None:
        """End the run: FINISHED, FAILED or KILLED."""
        self._mlflow.client.set_terminated(self._id, status)


def training_tags(seed: int, recipe: Recipe) -> dict[str, str]:
    """What tells a training from all others, on its run and on its model's version."""
    return {DIGEST: recipe.digest, SEED: str(seed)}


def publish_evaluation(workspace: Path, mlflow: Store, record: Record) -> bool:
    """Log an evaluation's figures and files to a run of its own, unless there is one of its recipe; returns whether.

    record: of the finished evaluation, whose files are in place.
    """
    tags = {DIGEST: record.recipe.digest, _STAGE: record.stage}
    if mlflow.finished(tags):
        return False
    run_id = mlflow.begin(ENSEMBLE, tags, {})
    metrics = json.loads((workspace / _METRICS).read_text(encoding="utf-8"))
    mlflow.client.log_batch(run_id, metrics=_metrics(dict(numbers(metrics)), 0), params=_params(record.recipe))
    for path in (*map(Path, record.outputs), STAGES["evaluation"].record_path(record.unit)):
        mlflow.client.log_artifact(run_id, str(workspace / path))
    mlflow.client.set_terminated(run_id, FINISHED)
    return True


def history(path: Path) -> list[dict[str, float]]:
    """The rows of a training's history.csv, an epoch each."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(name, number) of each number, with dots in the names of nested ones."""
    return ((name, value) for name, value in _flat(values) if isinstance(value, int | float))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _params(recipe: Recipe) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, "null" if value is None else str(value)) for name, value in _flat(recipe.params)]


def _metrics(figures: Mapping[str, float], step: int) -> list[Any]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    return [Metric(name, float(value), now_ms, step) for name, value in figures.items()]
