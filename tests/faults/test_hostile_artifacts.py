"""A hostile file in the place of an artifact: one message at the door of the stage, and nothing else changed."""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small_data
from hostile import Payload, png_bomb, shared
from small_training import section, train
from test_hostile_archives import ZIPS
from trueframe import archive, runner, tables
from trueframe.errors import UserError
from trueframe.tools import Tools
from trueframe.workspace import Workspace


def bombed(path: Path) -> Path:
    with archive.Writer(path) as writer:
        writer.add("v.mp4/000000_0.webp", png_bomb(20_000))
    return path


def empty(schema: pa.Schema) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        pq.write_table(schema.empty_table(), path)
        return path

    return make


def pickled(path: Path) -> Path:
    path.write_bytes(pickle.dumps(Payload(path.with_name("pwned"))))
    return path


CROPS, PART = "data/crops/train/part_00.zip", "train/part_00"
ARTIFACTS: dict[str, tuple[str, str, str, Callable[[Path], Path], str]] = {
    "an index of other columns": (
        "bboxes",
        PART,
        "data/index/train/part_00.parquet",
        empty(tables.VIDEOS),
        "no column",
    ),
    "boxes of other columns": ("crops", PART, "data/bboxes/train/part_00.parquet", empty(tables.INDEX), "no column"),
    "an archive that escapes": ("masks", PART, CROPS, ZIPS["named ../../escaped/000000_0.png"][0], "is not named"),
    "an archive of shared bytes": ("landmarks", PART, CROPS, shared, "of another member"),
    "a packed archive": ("folds", "all", CROPS, ZIPS["a bomb"][0], "is compressed"),
    "an image bomb": ("predictions", "1/test/part_00", "data/crops/test/part_00.zip", bombed, "20000 by 20000 pixels"),
    "folds of other columns": (
        "predictions",
        "1/train/part_01",
        "data/folds/folds.parquet",
        empty(tables.ROLES),
        "no col",
    ),
    "a pickle for weights": (
        "predictions",
        "1/test/part_00",
        "models/1/weights_1.safetensors",
        pickled,
        "a pickle by its",
    ),
    "masks of other columns": ("models", "1", "data/masks/train/part_01.parquet", empty(tables.BBOXES), "no column"),
    "scores of other columns": (
        "submission",
        "all",
        "data/predictions/1/test/part_00.parquet",
        empty(tables.MASKS),
        "no c",
    ),
    "a text for a table": ("evaluation", "all", "data/folds/folds.parquet", ZIPS["no zip"][0], "no whole table"),
}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_hostile_artifact_is_one_message_and_harms_nothing(finished: Path, name: str) -> None:
    stage, unit, path, make, message = ARTIFACTS[name]
    workspace = Workspace(finished)
    workspace.layout.units(stage)
    (finished / workspace.layout.output_paths(stage, unit)[0]).unlink()
    (finished / path).unlink(missing_ok=True)
    make(finished / path)
    before = {file: file.stat().st_mtime_ns for file in finished.glob("[dmr]*/**/*") if file.is_file()}
    with pytest.raises(UserError, match=message) as caught:
        runner.run_unit(workspace, stage, unit, device="cpu")
    assert str(caught.value).startswith(str(finished / path))
    after = {file: file.stat().st_mtime_ns for file in finished.glob("[dmr]*/**/*") if file.is_file()}
    assert after == before
    assert not list(finished.parent.rglob("pwned"))


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_training_names_the_archive_of_a_damaged_crop_whoever_reads_it(
    data: small_data.Data, tmp_path: Path, workers: int
) -> None:
    damaged = {part: Path(shutil.copy(path, tmp_path / f"{Path(part).name}.zip")) for part, path in data.crops.items()}
    for path in damaged.values():
        path.write_bytes(path.read_bytes().replace(b"RIFF", b"RAFF"))
    with pytest.raises(UserError) as caught:
        train(replace(data, crops=damaged), tmp_path / "out", section(), Tools(device="cpu", workers=workers))
    assert re.fullmatch(rf"{tmp_path}/part_0\d\.zip: at byte \d+: \d+ bytes that are no PNG .*", str(caught.value))
