"""What MLflow is told of the data that trains."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

import trainings
from trueframe.raw import Hashes
from trueframe.tracking import lineage

RAW_DVC = "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  nfiles: 9\n  path: raw\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace that DVC knows, but for its files."""
    Repo.init(str(tmp_path), no_scm=True).close()
    return trainings.workspace(tmp_path)


def told(root: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name to digest and profile of each data set."""
    found = lineage.inputs(root, trainings.recipe(root))
    return {item.dataset.name: (item.dataset.digest, json.loads(item.dataset.profile)) for item in found}


def md5(root: Path, path: str) -> str:
    return hashlib.md5((root / path).read_bytes(), usedforsecurity=False).hexdigest()


def test_each_data_set_has_dvcs_hash_its_sha256_and_its_counts(root: Path) -> None:
    (root / "data/raw.dvc").write_text(RAW_DVC)
    found = told(root)
    crops = [f"data/crops/{part}.zip" for part in trainings.PARTS]
    assert list(found) == [trainings.FOLDS, *crops, "data/raw"]
    inputs = trainings.recipe(root).inputs
    # Each part has a real video and two fakes of it, of three crops each.
    assert found[trainings.FOLDS] == (
        md5(root, trainings.FOLDS),
        {
            "sha256": inputs[trainings.FOLDS],
            "md5": md5(root, trainings.FOLDS),
            "crops": {"real": 9, "fake": 18},
            "videos": {"real": 3, "fake": 6},
        },
    )
    for path in crops:
        counts = {"crops": {"real": 3, "fake": 6}, "videos": {"real": 1, "fake": 2}}
        assert found[path] == (md5(root, path), {"sha256": inputs[path], "md5": md5(root, path)} | counts)
    raw = "0123456789abcdef0123456789abcdef.dir"
    assert found["data/raw"] == (raw, {"md5": raw, "videos": {"real": 3, "fake": 6}})


def test_large_files_are_not_hashed_for_mlflow_but_dvcs_memory_is_used(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (f"data/crops/{part}.zip" for part in trainings.PARTS)
    Hashes(root).file(root / first)
    monkeypatch.setattr(lineage, "_HASH_AT_MOST", (root / third).stat().st_size - 1)
    (root / second).write_bytes((root / second).read_bytes() + b"more")
    found = told(root)
    inputs = trainings.recipe(root).inputs
    assert found[first][0] == md5(root, first)
    for path in (second, third):
        assert found[path][0] == inputs[path].removeprefix("sha256:")[:36]
        assert found[path][1]["md5"] is None


def test_outside_a_dvc_repository_the_digest_is_the_sha256s_start(tmp_path: Path) -> None:
    root = trainings.workspace(tmp_path)
    digest, profile = told(root)[trainings.FOLDS]
    sha256 = trainings.recipe(root).inputs[trainings.FOLDS]
    assert digest == sha256.removeprefix("sha256:")[:36]
    assert (profile["sha256"], profile["md5"]) == (sha256, None)
