"""The model in MLflow's registry: what it says, and which one may be the champion."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest

import mlflow_stores
import trainings
from mlflow_stores import files, runs, versions
from trueframe import network, scoring
from trueframe.errors import UserError
from trueframe.records import Recipe
from trueframe.tracking import registry
from trueframe.tracking.tracker import MlflowTracker
from trueframe.workspace import Workspace

BETTER, WORSE = (0.75, 0.25, 0.625), (0.75, 0.5625, 0.625)


pytestmark = pytest.mark.usefixtures("no_tracking_server")


@pytest.fixture
def root(tmp_path: Path, database: Path) -> Path:
    return mlflow_stores.workspace(tmp_path, database)


def train(
    root: Path,
    seed: int = 111,
    figures: tuple[float, ...] = trainings.FIGURES,
    recipe: Recipe | None = None,
    videos: str = "real0.mp4",
) -> None:
    """A training from start to end, told to MLflow."""
    lines: list[str] = []
    recipe = recipe or trainings.recipe(root)
    with MlflowTracker.start(root, seed, recipe, lines.append) as tracker:
        tracker.finished(trainings.finish(root, seed, recipe, figures, videos))
    assert lines == []


def champion(root: Path) -> str | None:
    found = mlflow_stores.client(root).get_registered_model(registry.MODEL).aliases.get(registry.CHAMPION)
    return None if found is None else str(found)


def test_the_registered_model_scores_as_its_networks_do(root: Path) -> None:
    train(root)
    crops = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)
    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    try:
        model = mlflow.pyfunc.load_model("models:/trueframe/1")
    finally:
        mlflow.set_tracking_uri(None)
    nets = [network.load(root / f"models/111/weights_{rank}.safetensors") for rank in (1, 2)]
    scores = scoring.scores(
        [scoring.by_torch(net, "cpu") for net in nets],
        lambda number: crops[number],
        [range(5)],
        workers=1,
        advance=lambda count: None,
    )
    found = model.predict(crops)
    assert found.dtype == np.float64
    assert found.tolist() == scores.mean(axis=0).tolist()
    assert model.predict(crops[:0]).shape == (0,)
    assert len(model.predict(np.repeat(crops, 20, axis=0))) == 100
    for wrong in (crops.astype(np.float32), crops[:, :16], crops[..., :1]):
        with pytest.raises(mlflow.exceptions.MlflowException):
            model.predict(wrong)


def test_what_is_stored_is_the_weights_as_they_are_and_no_pickle(root: Path) -> None:
    train(root)
    (run,) = runs(root)
    names = {Path(name).name for name in files(root, run, "model")}
    weights = {"weights_1.safetensors", "weights_2.safetensors"}
    assert names == weights | {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    stored = Path(mlflow_stores.client(root).download_artifacts(run.info.run_id, "model"))
    for name in weights:
        assert (stored / name).read_bytes() == (root / "models/111" / name).read_bytes()


def test_a_training_gets_one_version_whatever_is_told_again(root: Path) -> None:
    train(root)
    train(root, seed=555)
    train(root)
    train(root, recipe=trainings.recipe(root, lr=0.1))
    found = [(version.tags["trueframe.seed"], version.tags["recipe_digest"]) for version in versions(root)]
    first, other = trainings.recipe(root).digest, trainings.recipe(root, lr=0.1).digest
    assert found == [("111", first), ("555", first), ("111", other)]
    assert [version.tags["val_figure"] for version in versions(root)] == ["0.5"] * 3
    assert champion(root) is None


def test_the_best_seed_becomes_the_champion_and_then_only_a_better_one(root: Path) -> None:
    train(root)
    train(root, seed=555, figures=WORSE)
    told = registry.crown(Workspace(root))
    assert told == "version 1 (seed 111, figure 0.500000) is the champion now, the first"
    assert champion(root) == "1"
    with pytest.raises(
        UserError, match=r"seed 555.* no better than the champion, version 1, whose figure is 0\.500000"
    ):
        registry.crown(Workspace(root), seed=555)
    with pytest.raises(UserError, match="is the champion already"):
        registry.crown(Workspace(root))
    assert champion(root) == "1"
    train(root, seed=555, figures=BETTER, recipe=trainings.recipe(root, lr=0.1))
    assert registry.crown(Workspace(root)).endswith(
        "(seed 555, figure 0.250000) is the champion now, in place of version 1"
    )
    assert champion(root) == "3"


def test_an_equal_figure_is_not_better(root: Path) -> None:
    train(root)
    train(root, seed=555)
    registry.crown(Workspace(root), seed=111)
    with pytest.raises(UserError, match="no better"):
        registry.crown(Workspace(root), seed=555)
    assert champion(root) == "1"


@pytest.mark.parametrize("other", ["folds", "validation_videos", "pooling", "every"])
def test_a_better_figure_on_other_data_or_by_another_rule_moves_nothing(root: Path, other: str) -> None:
    train(root)
    registry.crown(Workspace(root))
    recipe, videos = trainings.recipe(root), "real0.mp4"
    match other:
        case "folds":
            recipe = Recipe(recipe.params, recipe.code, {**recipe.inputs, trainings.FOLDS: "sha256:0"})
        case "validation_videos":
            videos = "another.mp4"
        case "pooling":
            recipe = trainings.recipe(root, pooling={"rule": "max"})
        case "every":
            recipe = trainings.recipe(root, validation_every_n_frames=7)
    train(root, figures=BETTER, recipe=Recipe({**recipe.params, "lr": 1.0}, recipe.code, recipe.inputs), videos=videos)
    with pytest.raises(UserError, match=rf"not validated as the champion, version 1, was \({other} differ"):
        registry.crown(Workspace(root))
    assert champion(root) == "1"


def test_what_can_not_be_crowned_is_said(root: Path) -> None:
    with pytest.raises(UserError, match="none is trained here"):
        registry.crown(Workspace(root))
    with pytest.raises(UserError, match=r"--seed 7: no such model; .* 111, 555"):
        registry.crown(Workspace(root), seed=7)
    trainings.finish(root, 111, trainings.recipe(root))
    with pytest.raises(UserError, match="has no version in MLflow's registry; run trueframe mlflow rebuild"):
        registry.crown(Workspace(root))


def test_a_champion_whose_files_are_gone_stays(root: Path) -> None:
    train(root)
    registry.crown(Workspace(root))
    train(root, seed=555, figures=BETTER)
    shutil.rmtree(root / "mlruns")
    with pytest.raises(UserError, match="version 1, the champion: its run's files can't be had"):
        registry.crown(Workspace(root))
    assert champion(root) == "1"


def test_an_unreachable_server_is_the_users_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings.finish(root, 111, trainings.recipe(root))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"MLflow \(http://127.0.0.1:9\) failed: .*; start the server"):
        registry.crown(Workspace(root))


def test_the_signature_is_of_the_crops_that_the_networks_take(root: Path) -> None:
    train(root)
    (run,) = runs(root)
    folder = mlflow_stores.client(root).download_artifacts(run.info.run_id, "model")
    signature = mlflow.models.get_model_info(folder).signature.to_dict()
    (crops,), (scores,) = (json.loads(signature[name]) for name in ("inputs", "outputs"))
    assert crops["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 32, 32, 3]}
    assert scores["tensor-spec"] == {"dtype": "float64", "shape": [-1]}
