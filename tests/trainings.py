"""Workspaces with what finished trainings leave, made in a moment: networks with random weights, figures by hand."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

import small_data
from trueframe import network, records
from trueframe.dag import STAGES
from trueframe.files import canonical_json, sha256_file
from trueframe.records import Output, Recipe, Record

REPO = Path(__file__).parents[1]
SIZE_PX = 32
SEEDS = (111, 555)
FOLDS = "data/folds/folds.parquet"
PARTS = ("train/part_00", "train/part_01", "train/part_02")
# By epoch; the second is the best, then the third.
FIGURES = (0.75, 0.5, 0.625)


def workspace(root: Path) -> Path:
    """Parameters, folds and crops of three train parts, without a DVC repository."""
    values = yaml.safe_load((REPO / "params.yaml").read_text())
    values["models"] |= {"seeds": list(SEEDS), "keep": 2}
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    data = small_data.write(root / "small")
    crops = {f"data/crops/{part}.zip": data.crops[part] for part in PARTS}
    for path, made in ({FOLDS: data.folds} | crops).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, root / path)
    for part in PARTS:
        (root / f"data/index/{part}.json").parent.mkdir(parents=True, exist_ok=True)
        (root / f"data/index/{part}.json").touch()
    return root


def recipe(root: Path, **changes: Any) -> Recipe:
    """A training's, with the digests of the files that are there. changes: of its parameters."""
    section = yaml.safe_load((root / "params.yaml").read_text())["models"]
    del section["seeds"]
    paths = [FOLDS, *(f"data/crops/{part}.zip" for part in PARTS)]
    inputs = {path: f"sha256:{sha256_file(root / path)}" for path in paths}
    return Recipe(section | changes, {"src/trueframe/stages/models.py": "sha256:1"}, inputs)


def epochs(figures: tuple[float, ...] = FIGURES) -> list[dict[str, float]]:
    """Rows of a history."""
    return [
        {
            "epoch": number,
            "lr": 0.1 / 2**number,
            "train_loss": 0.875 - number / 8,
            "val_fake_log_loss": figure + 0.125,
            "val_real_log_loss": figure - 0.25,
            "val_figure": figure,
        }
        for number, figure in enumerate(figures)
    ]


def told(row: Mapping[str, float]) -> dict[str, float]:
    """What a tracker hears of an epoch."""
    return {name: value for name, value in row.items() if name != "epoch"}


def finish(
    root: Path, seed: int, recipe: Recipe, figures: tuple[float, ...] = FIGURES, videos: str = "real0.mp4"
) -> Record:
    """What a finished training leaves: weights of the two best epochs, history, selection and record."""
    folder = root / f"models/{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = epochs(figures)
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    best = sorted(rows, key=lambda row: row["val_figure"])[:2]
    kept = []
    for rank, row in enumerate(best, 1):
        torch.manual_seed(seed + rank)
        net = network.build("test_efficientnet", "none", size_px=SIZE_PX, holdout_fold=0)
        network.save(net, folder / f"weights_{rank}.safetensors", epoch=int(row["epoch"]))
        kept.append(row | {"rank": rank, "file": f"weights_{rank}.safetensors", "sha256": "…"})
    story = {"seed": seed, "rule": "lowest", "pooling": recipe.params["pooling"], "kept": kept}
    story |= {"validation_videos": {"fake": [], "real": [videos]}, "validation_crops": {"fake": 0, "real": 3}}
    (folder / "selection.json").write_text(canonical_json(story))
    names = ["weights_1.safetensors", "weights_2.safetensors", "history.csv", "selection.json"]
    outputs = {
        f"models/{seed}/{name}": Output(sha256_file(folder / name), (folder / name).stat().st_size, 1) for name in names
    }
    record = Record("models", str(seed), recipe, outputs, records.environment(root))
    record.write(root / STAGES["models"].record_path(str(seed)))
    return record


def evaluate(root: Path) -> Record:
    """What a finished evaluation leaves."""
    folder = root / "reports/evaluation"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(
        canonical_json({"held_out": {"auc": 0.75, "videos": 4}, "test": {"auc": None}})
    )
    (folder / "roc.png").write_bytes(b"a picture")
    paths = [f"reports/evaluation/{name}" for name in ("metrics.json", "roc.png")]
    outputs = {path: Output(sha256_file(root / path), (root / path).stat().st_size, 1) for path in paths}
    record = Record("evaluation", "all", Recipe({"threshold": 0.5}, {}, {}), outputs, records.environment(root))
    record.write(root / STAGES["evaluation"].record_path("all"))
    return record
