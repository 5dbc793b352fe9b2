"""What every test of `trueframe doctor` stands on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from examination import own


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracking server of the caller's, no DVC configuration but the workspace's, a folder of temporary files."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        monkeypatch.delenv(name)
    for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
        monkeypatch.setenv(f"DVC_{name}_DIR", str(tmp_path / f"dvc-{name}"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def well(tmp_path: Path, finished_workspace: Path) -> Path:
    """A finished workspace."""
    return own(finished_workspace, tmp_path / "w")
