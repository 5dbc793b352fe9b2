"""MLflow's registry: a version of the model "trueframe" per finished training, one of which may be the champion."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from trueframe import card as cards
from trueframe import records
from trueframe.card import Card
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.tracking import store
from trueframe.tracking.store import Store
from trueframe.workspace import Workspace

MODEL = "trueframe"
CHAMPION = "champion"
_FOLDER = "model"  # among a run's artifacts
_SELECTION, _RECORD = "selection.json", "record.json"
_FOLDS = STAGES["folds"].outputs["table"]
# Our own code is named in the model's metadata: no package index has it.
_NEEDS = ("mlflow", "numpy", "opencv-python-headless", "safetensors", "timm", "torch")


def register(client: Any, run_id: str, weights: Sequence[Path], tags: Mapping[str, str]) -> None:
    """Give the model of a run a version, unless the registry has one of its seed and recipe.

    client: MLflow's; weights: the files of the kept epochs, stored as they are; tags: of the version, with seed and
    recipe digest.
    """
    from mlflow.exceptions import MlflowException

    if find(client, tags):
        return
    with tempfile.TemporaryDirectory() as folder:
        _describe(Path(folder, _FOLDER), run_id, cards.read(weights[0]), tags)
        client.log_artifacts(run_id, str(Path(folder, _FOLDER)), _FOLDER)
    for path in weights:
        client.log_artifact(run_id, str(path), _FOLDER)
    try:
        client.create_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{_FOLDER}"
    client.create_model_version(MODEL, source, run_id, dict(tags), await_creation_for=0)


def find(client: Any, tags: Mapping[str, str]) -> Any:
    """The model's version of a seed and recipe, by its tags; None where there is none."""
    wanted = [f"tags.`{name}` = '{tags[name]}'" for name in (store.DIGEST, store.SEED)]
    found = client.search_model_versions(" and ".join([f"name = '{MODEL}'", *wanted]))
    return found[0] if found else None


def _describe(folder: Path, run_id: str, card: Card, tags: Mapping[str, str]) -> None:
    """Write what MLflow must know to load the model: who loads it, what goes in and what comes out."""
    import numpy as np
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    crops = TensorSpec(np.dtype("uint8"), (-1, card.size_px, card.size_px, 3))
    scores = TensorSpec(np.dtype("float64"), (-1,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants an example of the input, which the signature tells well enough
        pyfunc.save_model(
            folder,
            loader_module="trueframe.tracking.serving",
            mlflow_model=Model(artifact_path=_FOLDER, run_id=run_id),
            signature=ModelSignature(Schema([crops]), Schema([scores])),
            pip_requirements=[f"{name}=={installed(name)}" for name in _NEEDS],
            metadata={"loader": f"trueframe {installed('trueframe')}", "encoder": card.encoder, **tags},
        )


@dataclass(frozen=True)
class Validated:
    """How a model did in validation. figure: less is better; by: all that must be equal for figures to be compared."""

    figure: float
    by: Mapping[str, Any]

    @classmethod
    def of(cls, record: Path, selection: Path) -> Validated:
        """From a training's own files. Raises UserError when the first is no record."""
        made, chosen = records.read(record), json.loads(selection.read_text(encoding="utf-8"))
        if made is None:
            raise UserError(f"{record}: no record of a training; expected the one that models/<seed>/ has")
        by = {name: chosen.get(name) for name in ("validation_videos", "validation_crops", "pooling", "rule")}
        by |= {"folds": made.recipe.inputs.get(_FOLDS), "every": made.recipe.params.get("validation_every_n_frames")}
        return cls(chosen["kept"][0][store.FIGURE], by)


def crown(workspace: Workspace, seed: int | None = None) -> str:
    """Make a model of this workspace, the best or a seed's, the champion; returns what was done.

    Raises UserError, and moves nothing, unless its validation figure is lower than the champion's and both were
    validated on the same crops in the same way.
    """
    unit, validated = _candidate(workspace, seed)
    record = workspace.record("models", unit)
    assert record is not None
    with store.needed():
        client = Store.of(workspace.root, patient=True).client
        found = find(client, {store.DIGEST: record.recipe.digest, store.SEED: unit})
        if found is None:
            raise UserError(f"seed {unit}: has no version in MLflow's registry; run trueframe mlflow rebuild")
        version = str(found.version)
        name = f"version {version} (seed {unit}, figure {validated.figure:.6f})"
        with store.lock(workspace.root):
            champion = client.get_registered_model(MODEL).aliases.get(CHAMPION)
            if champion is not None:
                _compare(name, version, validated, str(champion), client)
            client.set_registered_model_alias(MODEL, CHAMPION, version)
    return f"{name} is the champion now, {f'in place of version {champion}' if champion else 'the first'}"


def _candidate(workspace: Workspace, seed: int | None) -> tuple[str, Validated]:
    """The unit with the lowest figure, of all seeds or of one."""
    units = workspace.layout.units("models")
    if seed is not None and str(seed) not in units:
        raise UserError(f"--seed {seed}: no such model; params.yaml: models.seeds has {', '.join(units)}")
    found = dict(_finished(workspace, units if seed is None else [str(seed)]))
    if not found:
        raise UserError("models: none is trained here; run snakemake --cores all models, or dvc pull")
    return min(found.items(), key=lambda item: item[1].figure)


def _finished(workspace: Workspace, units: Sequence[str]) -> Iterator[tuple[str, Validated]]:
    for unit in units:
        (selection,) = workspace.layout.output("models", "selection", unit)
        if workspace.record("models", unit) is not None and (workspace.root / selection).is_file():
            record = STAGES["models"].record_path(unit)
            yield unit, Validated.of(workspace.root / record, workspace.root / selection)


def _of_version(client: Any, version: str) -> Validated:
    """How a registered model was validated, from the files that its run keeps."""
    from mlflow.exceptions import MlflowException

    run_id = client.get_model_version(MODEL, version).run_id
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = [Path(client.download_artifacts(run_id, name, folder)) for name in (_RECORD, _SELECTION)]
        except (OSError, MlflowException) as error:
            raise UserError(
                f"version {version}, the champion: its run's files can't be had, so nothing can be compared with it "
                f"({store.trouble(error)}); to begin anew, delete the alias in MLflow"
            ) from error
        return Validated.of(*files)


def _compare(name: str, version: str, candidate: Validated, champion: str, client: Any) -> None:
    """Raise UserError unless the candidate is better than the champion. Both are numbers of versions."""
    if version == champion:
        raise UserError(f"{name}: is the champion already")
    reigning = _of_version(client, champion)
    differing = [part for part in candidate.by if candidate.by[part] != reigning.by[part]]
    if differing:
        raise UserError(
            f"{name}: was not validated as the champion, version {champion}, was ({', '.join(differing)} differ), so "
            "that their figures say nothing of each other; to begin anew, delete the alias in MLflow first"
        )
    if candidate.figure >= reigning.figure:
        raise UserError(
            f"{name}: is no better than the champion, version {champion}, whose figure is {reigning.figure:.6f}; "
            "less is better"
        )
