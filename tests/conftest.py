"""Fixtures that many tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

import small_data
from trueframe import demo
from workspaces import TINY, call, clone, closed_network, commit, edit_params, family, scored_video, snakemake, watched

# A busy machine takes long for an example now and then, which says nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def _tiny(path: Path) -> Path:
    """A clone with tiny parameters, its raw videos tracked by DVC, nothing made yet."""
    clone(path)
    edit_params(path, TINY)
    scale = demo.DemoScale(parts=2, originals=2, fakes=(1,), test_videos=2, frames=(12, 16), specials=False)
    demo.write_demo(path / "data/raw", scale=scale)
    return path


def _shared(tmp_path_factory: pytest.TempPathFactory, name: str) -> tuple[Path, FileLock]:
    """A place that all test processes of this run share, and its lock."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if base.name.startswith("popen-") else base
    return folder / name, FileLock(folder / f"{name}.lock")


@pytest.fixture(scope="session")
def raw_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny workspace with raw videos and nothing made; not to be changed."""
    place, lock = _shared(tmp_path_factory, "raw")
    with lock:
        if not place.exists():
            unfinished = place.with_name("raw-unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _tiny(unfinished / "w").rename(place)
    return place


@pytest.fixture(scope="session")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory, raw_workspace: Path) -> Path:
    """A tiny workspace after `dvc add data/raw` and `snakemake submission`, all committed; not to be changed.

    The run's network is closed where the kernel allows it, and who tries it is noted (test_hostile_network.py).
    """
    place, lock = _shared(tmp_path_factory, "finished")
    with lock:
        if not (place / "finished").exists():
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(raw_workspace, place / "w", symlinks=True)
            call(place / "w", "dvc", "add", "--quiet", "data/raw")
            call(
                *(place / "w", *closed_network(), "snakemake", "--cores", "2", "submission"),
                **watched(place / "network.log"),
            )
            commit(place / "w", "finished")
            (place / "finished").touch()
    return place / "w"


@pytest.fixture(scope="session")
def withdrawn_workspace(tmp_path_factory: pytest.TempPathFactory, finished_workspace: Path) -> Path:
    """The finished workspace after a real train video and a test video were withdrawn, run again and committed; not to
    be changed.
    """
    place, lock = _shared(tmp_path_factory, "withdrawn")
    with lock:
        if not (place / "finished").exists():
            shutil.rmtree(place, ignore_errors=True)
            path = Path(shutil.copytree(finished_workspace, place / "w", symlinks=True))
            names = f"train/part_00/{family(path, 'train/part_00')[0]}", f"test/part_00/{scored_video(path)}"
            for name in names:
                call(path, "trueframe", "withdraw", name, "--reason", "consent", PYTHONPATH=str(path / "src"))
            snakemake(path, "submission")
            commit(path, "withdrawn")
            (place / "finished").touch()
    return place / "w"


@pytest.fixture
def raw(tmp_path: Path, raw_workspace: Path) -> Path:
    """A copy of the raw workspace."""
    return Path(shutil.copytree(raw_workspace, tmp_path / "w", symlinks=True))


@pytest.fixture
def finished(tmp_path: Path, finished_workspace: Path) -> Path:
    """A copy of the finished workspace."""
    return Path(shutil.copytree(finished_workspace, tmp_path / "w", symlinks=True))


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database of MLflow's; not to be changed."""
    import mlflow_stores

    return mlflow_stores.database(tmp_path_factory)


@pytest.fixture
def no_tracking_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever server the caller's environment names."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> small_data.Data:
    """A handful of crops; not to be changed."""
    return small_data.write(tmp_path_factory.mktemp("data"))
