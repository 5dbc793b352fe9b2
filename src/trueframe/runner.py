"""Runs one unit: a stage gets its paths and its section; what it made goes in place with a record, or all stays."""

from __future__ import annotations

import errno
import importlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from trueframe import raw, records
from trueframe.dag import STAGES, Stage
from trueframe.errors import UserError, WorkerDiedError
from trueframe.files import partial, publish
from trueframe.progress import Progress
from trueframe.tools import Silent, Tools, Tracker
from trueframe.workspace import PARTIAL, Workspace

# What a user can mend of what an operating system refuses.
_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "give the permission",
    errno.EMFILE: "allow more open files (`ulimit -n`)",
    errno.ENFILE: "close some programs",
}
_UNHARMED = "what was there is unharmed"


def run_unit(
    workspace: Workspace, stage: str, unit: str, workers: int = 1, device: str = "auto", devices: int = 1
) -> bool:
    """Make a unit's artifacts unless it is fresh; returns whether it ran.

    The stage writes under temporary names. Only when it is done, the old record goes, the new artifacts take their
    places and, last, the new record: killed anywhere, the unit is as before or stale, never half done. The disk has
    each of these steps before the next begins, so that a power cut is no worse.

    Raises UserError when the disk is full or may not be written, memory runs out or a worker dies.
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
    outputs = workspace.layout.outputs(stage, unit)
    kept = workspace.root / PARTIAL / stage / unit
    with _tracker(workspace, stage, unit, recipe, progress) as tracker:
        tools = Tools(workers, device, devices, kept / recipe.digest, progress, tracker)
        with _outputs(workspace, stage, unit) as temporary:
            _require_tables(workspace, entry, unit)
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
            environment = records.environment(workspace.root) | _detector(entry, device)
            record = records.Record(stage, unit, recipe, made, environment)
            place = workspace.root / entry.record_path(unit)
            record.prepare(place)  # before anything goes: from here on no more room is needed
            place.unlink(missing_ok=True)
            _sync(place.parent)
            for path in temporary:
                publish(workspace.root / path)
            _sync(place.parent)
            publish(place)
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
def _outputs(workspace: Workspace, stage: str, unit: str) -> Iterator[Mapping[Path, Path]]:
    """A unit's artifacts and temporary names beside them; gone when the work fails, and what the machine lacks is told
    as what it is.
    """
    temporary = {path: partial(workspace.root / path) for path in workspace.layout.output_paths(stage, unit)}
    try:
        with workspace.alone(stage, unit):
            try:
                for path in temporary.values():
                    path.parent.mkdir(parents=True, exist_ok=True)
                yield temporary
            finally:
                workspace.remove_unfinished(stage, unit)
    except (OSError, SafetensorError) as error:
        number = error.errno if isinstance(error, OSError) else _rust_errno(error)
        if number not in _ADVICE:
            raise
        where = getattr(error, "filename", None) or next(iter(temporary.values())).parent
        raise UserError(f"{where}: {os.strerror(number)}; {_ADVICE[number]}, then run again: {_UNHARMED}") from error
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, WorkerDiedError):
            what = "a worker process died, as when memory runs out"
        elif isinstance(error, MemoryError) or _torch_lacks_memory(error):
            what = "memory ran out"
        else:
            raise
        raise UserError(f"{stage} {unit}: {what}; run again with fewer --cores or more memory: {_UNHARMED}") from error


def _torch_lacks_memory(error: RuntimeError) -> bool:
    """Whether torch says so: by a class of its own for a GPU's memory, by its words for the machine's."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in str(error)


def _rust_errno(error: SafetensorError) -> int | None:
    """The number in a message such as "I/O error: No space left on device (os error 28)"; None where there is none."""
    found = re.search(r"\bos error (\d+)\b", str(error))
    return int(found[1]) if found else None


def _sync(folder: Path) -> None:
    """Wait until the disk has what was renamed and removed in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
