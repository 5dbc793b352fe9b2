"""Runs one unit: a stage gets its paths and its section; what it made goes in place with a record, or all stays."""

from __future__ import annotations

import errno
import importlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trueframe import raw, records
from trueframe.dag import STAGES, Stage
from trueframe.errors import UserError
from trueframe.files import partial, publish
from trueframe.progress import Progress
from trueframe.tools import Silent, Tools, Tracker
from trueframe.workspace import PARTIAL, Workspace

_FULL = (errno.ENOSPC, errno.EDQUOT)


def run_unit(
    workspace: Workspace, stage: str, unit: str, workers: int = 1, device: str = "auto", devices: int = 1
) -> bool:
    """Make a unit's artifacts unless it is fresh; returns whether it ran.

    The stage writes under temporary names. Only when it is done, the old record goes, the new artifacts take their
    places and the new record is written, last: killed anywhere, the unit is as before or stale, never half done.
    """
    entry = STAGES[stage]
    units = workspace.layout.units(stage)
    if unit not in units:
        raise UserError(f"{stage} {unit}: no such unit; this workspace has {', '.join(units) or 'none'}")
    progress = Progress(f"{stage} {unit}")
    if workspace.fresh(stage, unit):
        progress.say("fresh, nothing to do")
        return False
    if entry.reads_raw:
        raw.require(workspace.root)
    recipe = workspace.recipe(stage, unit)
    missing = [path for path, digest in recipe.inputs.items() if digest == "missing"]
    if missing:
        raise UserError(
            f"{missing[0]}: not made yet; run `snakemake --cores all {stage}`, which makes what a unit needs first"
        )
    _require_tables(workspace, entry, unit)
    outputs = workspace.layout.outputs(stage, unit)
    kept = workspace.root / PARTIAL / stage / unit
    with _tracker(workspace, stage, unit, recipe, progress) as tracker:
        tools = Tools(workers, device, devices, kept / recipe.digest, progress, tracker)
        with _outputs(workspace.root, workspace.layout.output_paths(stage, unit)) as temporary:
            items = importlib.import_module(f"trueframe.stages.{stage}").run(
                unit=unit,
                **_inputs(workspace, entry, unit),
                **{
                    name: _one_or_all(entry, name, [temporary[path] for path in paths])
                    for name, paths in outputs.items()
                },
                params=getattr(workspace.params, stage),
                tools=tools,
            )
            made = {
                str(path): records.Output(tools.sha256(temporary[path]), temporary[path].stat().st_size, items[name])
                for name, paths in outputs.items()
                for path in paths
            }
            (workspace.root / entry.record_path(unit)).unlink(missing_ok=True)
            for path in temporary:
                publish(workspace.root / path)
            environment = records.environment(workspace.root) | _detector(entry, device)
            record = records.Record(stage, unit, recipe, made, environment)
            record.write(workspace.root / entry.record_path(unit))
        shutil.rmtree(kept, ignore_errors=True)
        tracker.finished(record)
    progress.say("done: " + ", ".join(f"{Path(path).name} {output.items} items" for path, output in made.items()))
    return True


def _require_tables(workspace: Workspace, entry: Stage, unit: str) -> None:
    """Raise UserError for a table among a unit's inputs that is none, or not what its stage hands on."""
    from trueframe import tables  # pyarrow takes a while, and a fresh unit does without

    for item in entry.inputs:
        schema = tables.HANDED_ON.get((item.stage, item.output))
        if schema is None:
            continue
        for source in workspace.layout.sources(item, unit):
            for path in workspace.layout.output(item.stage, item.output, source):
                tables.require(workspace.root / path, schema)


def _detector(entry: Stage, device: str) -> dict[str, str]:
    """What found the faces, where the stage finds any: OpenVINO and torch don't agree to the last bit."""
    if not entry.finds_faces:
        return {}
    from trueframe import faces

    return {"detector": faces.backend(device)}


def _one_or_all(entry: Stage, name: str, paths: Sequence[Path]) -> Any:
    """What stands for an output: its path, or all of its paths where it is ranked."""
    return tuple(paths) if entry.ranked(name) else paths[0]


def _inputs(workspace: Workspace, entry: Stage, unit: str) -> dict[str, Any]:
    """A stage's inputs as it is given them: a path, or unit to path where it reads many, and what is withdrawn."""
    root, layout = workspace.root, workspace.layout
    inputs: dict[str, Any] = {}
    for item in entry.inputs:
        found = {
            source: _one_or_all(
                STAGES[item.stage],
                item.output,
                [root / path for path in layout.output(item.stage, item.output, source)],
            )
            for source in layout.sources(item, unit)
        }
        inputs[item.name] = found if item.many else next(iter(found.values()))
    if entry.reads_raw:
        of_tests = {part: root / raw.RAW / part for part in layout.parts("test")}
        inputs["raw"] = of_tests if entry.units == "one" else root / raw.RAW / unit
    if entry.reads_withdrawn:
        inputs["withdrawn"] = workspace.withdrawn_names(unit)
    return inputs


@contextmanager
def _outputs(root: Path, paths: Any) -> Iterator[Mapping[Path, Path]]:
    """Temporary names beside the given paths; gone when the work fails, and a full disk is told as what it is."""
    temporary = {path: partial(root / path) for path in paths}
    try:
        for path in temporary.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
    except OSError as error:
        if error.errno in _FULL:
            where = error.filename or next(iter(temporary.values())).parent
            raise UserError(
                f"{where}: {error.strerror}; free some space, then run again: what was there is unharmed"
            ) from error
        raise
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
            shutil.rmtree(path.with_name(f"{path.name}.spool"), ignore_errors=True)


@contextmanager
def _tracker(
    workspace: Workspace, stage: str, unit: str, recipe: records.Recipe, progress: Progress
) -> Iterator[Tracker]:
    """MLflow hears of trainings and evaluations; the others have nobody to tell."""
    if stage not in ("models", "evaluation"):
        yield Silent()
        return
    from trueframe.tracking.tracker import EvaluationTracker, MlflowTracker

    if stage == "evaluation":
        yield EvaluationTracker(workspace.root, progress.say)
        return
    with MlflowTracker.start(workspace.root, int(unit), recipe, progress.say) as tracker:
        yield tracker
