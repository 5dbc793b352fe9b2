"""The train parts of the real clips, as far as folds: crops, landmarks and masks as the stages make them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import large_workspace
import yaml

STAGES = ("index", "bboxes", "crops", "landmarks", "masks")


def make(folder: Path, clips: Path) -> Path:
    """A workspace in `folder`, made at the first call. clips: a folder as data/raw."""
    workspace = folder / "real_crops"
    if workspace.is_dir():
        return workspace
    large_workspace.copy_project(workspace)
    shutil.copytree(clips / "train", workspace / "data/raw/train")
    values = yaml.safe_load((workspace / "params.yaml").read_text())
    values["bboxes"]["train"]["every_n_frames"] = 60
    values["folds"]["count"] = 2
    (workspace / "params.yaml").write_text(yaml.safe_dump(values))
    parts = sorted(path.name for path in (workspace / "data/raw/train").iterdir())
    for words in [*((stage, f"train/{part}") for part in parts for stage in STAGES), ("folds", "all")]:
        subprocess.run(
            (sys.executable, "-m", "trueframe", *words),
            cwd=workspace,
            env=os.environ | {"PYTHONPATH": str(workspace / "src")},
            stderr=subprocess.DEVNULL,
            check=True,
        )
    return workspace


def archives(workspace: Path, stage: str) -> dict[str, Path]:
    """Part to archive of crops or masks."""
    return {f"train/{path.stem}": path for path in sorted((workspace / f"data/{stage}/train").glob("*.zip"))}


def tables(workspace: Path, stage: str) -> dict[str, Path]:
    """Part to table of landmarks or masks."""
    return {f"train/{path.stem}": path for path in sorted((workspace / f"data/{stage}/train").glob("*.parquet"))}
