"""The data of a training, as MLflow's dataset inputs: what DVC calls it, how many crops and videos of each class."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from trueframe import raw
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.records import Recipe

_FOLDS = STAGES["folds"].outputs["table"]
_CROPS = STAGES["crops"].outputs["archive"]
_RAW_DVC = Path(f"{raw.RAW}.dvc")
_DIGEST_LENGTH = 36  # the most that MLflow keeps of a data set's digest; the profile has it whole
# DVC hashes what it is told of at the end of a run. What it does not know yet is hashed now, if that takes seconds.
_HASH_AT_MOST = 1 << 30
_CLASSES = ("real", "fake")

Counts = dict[str, dict[str, int]]


def inputs(workspace: Path, recipe: Recipe) -> list[Any]:
    """An mlflow DatasetInput each for the folds table, the raw videos and every part's crops.

    recipe: the training's. A data set's digest is DVC's MD5. For the raw videos it is the one in data/raw.dvc; without
    that file they are left out. Crops that DVC does not know yet and that take long to hash have their SHA-256's start.
    Its profile has the SHA-256, the MD5 and, where the folds table is here, the counts.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    counts = _counts(workspace / _FOLDS) if (workspace / _FOLDS).is_file() else {}
    profiles: dict[str, dict[str, Any]] = {_FOLDS: {"sha256": recipe.inputs[_FOLDS]} | _total(counts)}
    prefix, suffix = _CROPS.split("{unit}")
    for path in (path for path in recipe.inputs if path.startswith(prefix)):
        part = path.removeprefix(prefix).removesuffix(suffix)
        profiles[path] = {"sha256": recipe.inputs[path]} | counts.get(part, {})
    md5 = dict(_md5(workspace, profiles))
    if (workspace / _RAW_DVC).is_file():
        tracked = yaml.safe_load((workspace / _RAW_DVC).read_text(encoding="utf-8"))["outs"][0]
        profiles[str(raw.RAW)] = {name: values for name, values in _total(counts).items() if name == "videos"}
        md5[str(raw.RAW)] = tracked["md5"]
    tags = [InputTag("mlflow.data.context", "training")]
    return [
        DatasetInput(
            Dataset(
                name=path,
                digest=(md5.get(path) or profile["sha256"].removeprefix("sha256:"))[:_DIGEST_LENGTH],
                source_type="local",
                source=json.dumps({"uri": path}),
                profile=json.dumps(profile | {"md5": md5.get(path)}),
            ),
            tags,
        )
        for path, profile in profiles.items()
    ]


def _counts(folds: Path) -> dict[str, Counts]:
    """Part to {"crops": {"real": …, "fake": …}, "videos": …}, of a folds table."""
    import pyarrow.parquet as pq

    table = pq.read_table(folds, columns=["part", "video", "label"])
    rows = table.group_by(["part", "label"]).aggregate([("video", "count"), ("video", "count_distinct")]).to_pylist()
    found: dict[str, Counts] = {
        part: {name: dict.fromkeys(_CLASSES, 0) for name in ("crops", "videos")}
        for part in sorted({row["part"] for row in rows})
    }
    for row in rows:
        for name, column in (("crops", "video_count"), ("videos", "video_count_distinct")):
            found[row["part"]][name][_CLASSES[row["label"]]] = row[column]
    return found


def _total(counts: Mapping[str, Counts]) -> Counts:
    return {
        name: {kind: sum(part[name][kind] for part in counts.values()) for kind in _CLASSES}
        for name in ("crops", "videos")
        if counts
    }


def _md5(workspace: Path, paths: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The MD5 of each file that is here and that DVC knows or can hash in seconds; none outside a DVC repository."""
    hashes = raw.Hashes(workspace)
    budget = _HASH_AT_MOST
    try:
        for path in (path for path in paths if (workspace / path).is_file()):
            digest = hashes.known(workspace / path)
            size = (workspace / path).stat().st_size
            if digest is None and size <= budget:
                budget -= size
                digest = hashes.file(workspace / path)
            if digest is not None:
                yield path, digest.removeprefix("md5:")
    except UserError:
        return  # no DVC repository, or no permission: MLflow gets the SHA-256 alone
