"""Makes up a finished workspace of DFDC's size: tables as a run leaves them, and nothing in the videos and archives."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from large_workspace import copy_project

from trueframe import records, tables
from trueframe.dag import STAGES
from trueframe.files import sha256_file
from trueframe.workspace import Workspace

PARTS, TEST_PARTS, VIDEOS = 50, 5, 2_400  # of a part; DFDC has 119,154 videos in 50 train parts
SEEDS = (111, 555, 777, 888, 999)
FOLDS, CROPS = 16, 30
FAKES_OF_ONE = 4


def make(path: Path, parts: int = PARTS, videos: int = VIDEOS) -> Workspace:
    """A workspace at `path`, every unit fresh, committed to git; its videos are files of a few bytes."""
    copy_project(path)
    values = yaml.safe_load((path / "params.yaml").read_text())
    values["models"]["seeds"] = list(SEEDS)
    (path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    units = [f"{'test' if number < TEST_PARTS else 'train'}/part_{number:02d}" for number in range(parts)]
    for unit in units:
        _raw(path, unit, videos)
    workspace = Workspace(path)
    for stage, entry in STAGES.items():
        for unit in workspace.layout.units(stage):
            made: dict[str, records.Output] = {}
            for name, files in workspace.layout.outputs(stage, unit).items():
                for file in files:
                    (path / file).parent.mkdir(parents=True, exist_ok=True)
                    items = _WRITERS.get((stage, name), _nothing)(path / file, unit, units, videos)
                    made[str(file)] = records.Output(sha256_file(path / file), (path / file).stat().st_size, items)
            recipe = workspace.recipe(stage, unit)
            records.Record(stage, unit, recipe, made, records.environment(path)).write(path / entry.record_path(unit))
    (path / ".gitignore").write_text("/data/*/\n/models/\n/reports/\n/.snakemake/\n")
    for words in (("add", "."), ("-c", "user.name=b", "-c", "user.email=b@example.org", "commit", "-qm", "all")):
        subprocess.run(("git", *words), cwd=path, check=True)
    return Workspace(path)


def _names(unit: str, videos: int) -> list[str]:
    return [f"{hashlib.sha256(f'{unit}/{number}'.encode()).hexdigest()[:10]}.mp4" for number in range(videos)]


def _labels(videos: int) -> np.ndarray:
    """Every fifth video is real, the four after it are made from it."""
    return (np.arange(videos) % (FAKES_OF_ONE + 1) != 0).astype(np.int8)


def _originals(names: list[str]) -> list[str]:
    return [names[number - number % (FAKES_OF_ONE + 1)] for number in range(len(names))]


def _raw(path: Path, unit: str, videos: int) -> None:
    folder = path / "data/raw" / unit
    folder.mkdir(parents=True)
    names = _names(unit, videos)
    for name in names:
        (folder / name).write_text(name)
    entries = {
        name: {"label": "FAKE", "original": original} if label else {"label": "REAL"}
        for name, original, label in zip(names, _originals(names), _labels(videos), strict=True)
    }
    (folder / "metadata.json").write_text(json.dumps(entries))


def _index(path: Path, unit: str, units: list[str], videos: int) -> int:
    names = _names(unit, videos)
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    table = pd.DataFrame({"video": names, "sha256": digests, "size_bytes": 14, "codec": "h264", "width_px": 1920})
    known = unit.startswith("train")
    table = table.assign(height_px=1080, fps=29.97, frames=300, status="ok", reason="")
    table = table.assign(
        label=pd.array(_labels(videos) if known else [None] * videos, "Int8"),
        original=[o if known and o != n else None for n, o in zip(names, _originals(names), strict=True)],
    )
    return tables.write(path, table, tables.INDEX)


def _videos(path: Path, unit: str, units: list[str], videos: int) -> int:
    table = pd.DataFrame({"video": _names(unit, videos), "status": "ok", "reason": "", "items": CROPS})
    table.loc[::97, ["status", "reason", "items"]] = ["no_face", "in none of 30 frames", 0]
    return tables.write(path, table, tables.VIDEOS)


def _every(units: list[str], videos: int) -> pd.DataFrame:
    """The train videos with crops, by part and name."""
    found = []
    for number, unit in enumerate(unit for unit in units if unit.startswith("train")):
        names = _names(unit, videos)
        table = pd.DataFrame({"part": unit, "video": names, "label": _labels(videos), "original": _originals(names)})
        found.append(table.assign(fold=number % FOLDS).drop(index=range(0, videos, 97)))
    return pd.concat(found, ignore_index=True)


def _roles(path: Path, unit: str, units: list[str], videos: int) -> int:
    table = _every(units, videos)
    held = table["fold"] == 0
    table = table.assign(role=np.where(held, "validated", "trained"), reason="", crops=CROPS, used=CROPS)
    return tables.write(path, table.assign(draws=np.where(held, 0, 1 + table.index % 40)), tables.ROLES)


def _folds(path: Path, unit: str, units: list[str], videos: int) -> int:
    table = _every(units, videos)
    table = table.loc[table.index.repeat(CROPS)].reset_index(drop=True)
    frames = np.tile(np.arange(CROPS) * 10, len(table) // CROPS)
    return tables.write(path, table.assign(frame=frames, track=0, offset=frames, size=1), tables.FOLDS)


def _scores(path: Path, unit: str, units: list[str], videos: int) -> int:
    names = np.repeat(_names(unit.partition("/")[2], videos), CROPS)
    table = pd.DataFrame({"video": names, "frame": np.tile(np.arange(CROPS), videos), "track": 0, "epoch": 0})
    return tables.write(path, table.assign(score=0.5, held_out=True), tables.PREDICTIONS)


def _boxes(path: Path, unit: str, units: list[str], videos: int) -> int:
    names = np.repeat(_names(unit, videos), CROPS)
    table = pd.DataFrame({"video": names, "frame": np.tile(np.arange(CROPS), videos), "track": 0})
    return tables.write(path, table.assign(x0=0, y0=0, x1=9, y1=9, score=0.99), tables.BBOXES)


def _faces(path: Path, unit: str, units: list[str], videos: int) -> int:
    """Landmarks, which a part's real videos have, or masks, which its fakes have."""
    landmarks = "landmarks" in path.parts
    names = np.array(_names(unit, videos))[_labels(videos) == (0 if landmarks else 1)]
    table = pd.DataFrame({"video": np.repeat(names, CROPS), "frame": np.tile(np.arange(CROPS), len(names)), "track": 0})
    if landmarks:
        points = dict.fromkeys(tables.LANDMARK_COLUMNS, 1)
        return tables.write(path, table.assign(found=True, **points), tables.LANDMARKS)
    return tables.write(path, table.assign(changed_px=99, offset=0, size=1), tables.MASKS)


def _detail(path: Path, unit: str, units: list[str], videos: int) -> int:
    tests = [part for part in units if part.startswith("test")]
    rows = [f"{name},{part[5:]},0.5,ensemble,ok,30,1" for part in tests for name in _names(part, videos)]
    path.write_text("\n".join(["filename,part,score,reason,status,crops,tracks", *rows, ""]))
    return len(rows)


def _selection(path: Path, unit: str, units: list[str], videos: int) -> int:
    held = _every(units, videos).query("fold == 0")
    names = held["part"] + "/" + held["video"]
    sides = {"fake": names[held["label"] == 1].tolist(), "real": names[held["label"] == 0].tolist()}
    figures = {"epoch": 3, "rank": 1, "val_figure": 0.25, "val_fake_log_loss": 0.25, "val_real_log_loss": 0.25}
    figures |= {
        "train_loss": 0.25,
        "val_log_loss": 0.25,
        "lr": 0.01,
        "file": "weights_1.safetensors",
        "sha256": sha256_file(path.with_name("weights_1.safetensors")),
    }
    path.write_text(json.dumps({"seed": int(unit), "kept": [figures], "validation_videos": sides}))
    return 1


def _figures(path: Path, unit: str, units: list[str], videos: int) -> int:
    sides = {"auc": 0.9, "log_loss": 0.3, "accuracy": 0.9, "videos": videos, "scored": videos}
    path.write_text(json.dumps({"held_out": sides, "test": sides} if path.name == "metrics.json" else {}))
    return 1


def _history(path: Path, unit: str, units: list[str], videos: int) -> int:
    path.write_text("epoch,lr,train_loss,val_fake_log_loss,val_real_log_loss,val_log_loss,val_figure\n3,1,1,1,1,1,1\n")
    return 1


def _nothing(path: Path, unit: str, units: list[str], videos: int) -> int:
    path.write_bytes(f"{path.name} {unit}".encode())
    return 1


_WRITERS: dict[tuple[str, str], Callable[[Path, str, list[str], int], Any]] = {
    ("index", "table"): _index,
    ("bboxes", "boxes"): _boxes,
    ("bboxes", "videos"): _videos,
    ("crops", "videos"): _videos,
    ("landmarks", "points"): _faces,
    ("masks", "table"): _faces,
    ("folds", "table"): _folds,
    ("models", "videos"): _roles,
    ("models", "selection"): _selection,
    ("models", "history"): _history,
    ("evaluation", "metrics"): _figures,
    ("evaluation", "details"): _figures,
    ("predictions", "scores"): _scores,
    ("submission", "detail"): _detail,
}
