"""What the audit page knows besides the videos: stages, units and recipes, the models' figures, the commit."""

from __future__ import annotations

import ast
import csv
import json
import math
from pathlib import Path
from typing import Any

from trueframe.audit import git
from trueframe.audit.snapshot import Node, Snapshot
from trueframe.audit.trail import Auditor, items_of, params_of
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import canonical_json
from trueframe.records import LOCK, Record

# By stage, the output whose items tell best how much there is, and what one and several of them are.
_COUNTED = {
    "index": ("table", "video", "videos"),
    "bboxes": ("boxes", "face", "faces"),
    "crops": ("archive", "crop", "crops"),
    "landmarks": ("points", "crop", "crops"),
    "masks": ("archive", "mask", "masks"),
    "folds": ("table", "crop", "crops"),
    "models": ("weights", "kept epoch", "kept epochs"),
    "predictions": ("scores", "score", "scores"),
    "submission": ("table", "score", "scores"),
    "evaluation": ("folds_table", "row", "rows"),
}
_TOLD_ELSEWHERE = "validation_videos"  # of a selection: the roles have them


def commit(auditor: Auditor) -> dict[str, str] | None:
    """What is checked out; None outside a repository and before its first commit."""
    root = auditor.workspace.root
    sha = git.head(root)
    if sha is None:
        return None
    day, subject = git.described(root, [sha])[sha]
    return {"sha": sha, "day": day, "subject": subject}


def stages(auditor: Auditor) -> list[dict[str, Any]]:
    """The stages in the order of the DAG, each with its units."""
    stale = auditor.workspace.stale_units()
    return [_stage(auditor, name, stale) for name in STAGES]


def _stage(auditor: Auditor, name: str, stale: dict[Node, list[str]]) -> dict[str, Any]:
    """counted: what its items are; raw: whether it reads raw videos; recipes: what several units have in common."""
    due = auditor.workspace.layout.units(name)
    gone = [unit for stage, unit in auditor.snapshot.records if stage == name and unit not in due]
    recipes: dict[str, tuple[int, Record]] = {}
    units = []
    for unit in [*due, *gone]:
        record = auditor.snapshot.records.get((name, unit))
        number = recipes.setdefault(_key(record), (len(recipes), record))[0] if record else None
        units.append(_unit(unit, record, number, ["gone"] if unit in gone else stale.get((name, unit), [])))
    return {
        "name": name,
        "about": _about(auditor, name),
        "counted": _COUNTED[name][1:],
        "raw": STAGES[name].reads_raw,
        "reads": _reads(auditor, name),
        "units": units,
        "recipes": [_recipe(auditor, record) for _, record in recipes.values()],
    }


def _unit(unit: str, record: Record | None, recipe: int | None, stale: list[str]) -> dict[str, Any]:
    """stale: why it is; files: (path, SHA-256, bytes, items)."""
    outputs = record.outputs if record else {}
    return {
        "unit": unit,
        "stale": stale,
        "items": items_of(record)[_COUNTED[record.stage][0]] if record else None,
        "files": [(path, output.sha256, output.size, output.items) for path, output in sorted(outputs.items())],
        "recipe": recipe,
    }


def _key(record: Record) -> str:
    return canonical_json([params_of(record), dict(record.recipe.code), dict(record.environment)])


def _recipe(auditor: Auditor, record: Record) -> dict[str, Any]:
    """(name, value) of the parameters and the environment, (module, digest) of the code, and a commit that holds it."""
    code = auditor.history.holding(record.recipe.code)
    lock = auditor.history.holding({str(LOCK): record.environment.get("lock", "missing")})
    return {
        "params": sorted(params_of(record).items()),
        "code": sorted(record.recipe.code.items()),
        "environment": sorted(record.environment.items()),
        "code_commit": code.first and (code.first, *(code.described or ("", ""))),
        "lock_commit": lock.first and (lock.first, *(lock.described or ("", ""))),
    }


def _reads(auditor: Auditor, name: str) -> list[str]:
    """The stages that its units read from by their records; by the DAG where it has none yet."""
    nodes = [node for node in auditor.snapshot.records if node[0] == name]
    read = {stage for node in nodes for stage, _ in auditor.graph.reads[node]}
    return [stage for stage in STAGES if stage in (read if nodes else {item.stage for item in STAGES[name].inputs})]


def _about(auditor: Auditor, name: str) -> str:
    """The first line of the stage's module, which says what the stage is."""
    module = auditor.workspace.root / f"src/trueframe/stages/{name}.py"
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) if module.is_file() else None
    return (text or "").partition("\n")[0].removeprefix(f"{name}: ")


def model(snapshot: Snapshot, seed: str) -> dict[str, Any]:
    """A model's own account of its training: selection.json, and history.csv a row per epoch.

    None stands for what is no number. Raises UserError where selection.json is no JSON.
    """
    outputs = STAGES["models"].outputs
    selection = snapshot.locate(outputs["selection"].format(unit=seed))
    told = _json(selection) if selection else {}
    history = snapshot.locate(outputs["history"].format(unit=seed))
    rows = list(csv.reader(history.read_text(encoding="utf-8").splitlines())) if history else [[]]
    return {
        "selection": {name: _finite(value) for name, value in told.items() if name != _TOLD_ELSEWHERE},
        "history": {"columns": rows[0], "rows": [[_finite(float(cell)) for cell in row] for row in rows[1:]]},
    }


def figures(snapshot: Snapshot) -> dict[str, Any]:
    """How good the ensemble is on each set; empty where there is no evaluation. Raises UserError as `model` does."""
    place = snapshot.locate(STAGES["evaluation"].outputs["metrics"])
    known = place if ("evaluation", "all") in snapshot.records else None
    return {name: _finite(value) for name, value in _json(known).items()} if known else {}


def _json(place: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(place.read_bytes())
    except ValueError as error:
        raise UserError(f"{place}: expected JSON: {error}; `dvc checkout {place}` brings it back") from error
    return found


def _finite(value: Any) -> Any:
    """The value with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
