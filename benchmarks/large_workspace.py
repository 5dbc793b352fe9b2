"""Makes up a finished workspace of many parts: records and files as a run leaves them, with nothing in the files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from trueframe import records
from trueframe.dag import STAGES
from trueframe.workspace import Workspace

REPO = Path(__file__).parents[1]
_TEST_SHARE = 10  # one part of so many is a test part


def copy_project(path: Path) -> None:
    """The project's own files at `path`, a repository of git and DVC with no videos."""
    path.mkdir()
    for name in ("Snakefile", "params.yaml", "dvc.yaml", "requirements.lock"):
        shutil.copy(REPO / name, path / name)
    for name in ("src", "workflow", "profiles", ".dvc"):
        shutil.copytree(REPO / name, path / name, ignore=shutil.ignore_patterns("cache", "tmp", "__pycache__"))
    subprocess.run(("git", "init", "--quiet"), cwd=path, check=True)


def make(path: Path, parts: int) -> Workspace:
    """A workspace at `path` with so many parts of one video each, every unit fresh."""
    copy_project(path)
    for number in range(parts):
        part = path / f"data/raw/{'test' if number % _TEST_SHARE == 0 else 'train'}/part_{number:03d}"
        part.mkdir(parents=True)
        (part / "video.mp4").write_bytes(b"none")
        (part / "metadata.json").write_text('{"video.mp4": {"label": "REAL", "split": "train"}}\n')
    workspace = Workspace(path)
    for stage, entry in STAGES.items():
        for unit in workspace.layout.units(stage):
            outputs = {}
            for file in workspace.layout.output_paths(stage, unit):
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                (path / file).write_bytes(b"none")
                outputs[str(file)] = records.Output("0" * 64, 4, 1)
            record = records.Record(stage, unit, workspace.recipe(stage, unit), outputs, records.environment(path))
            record.write(path / entry.record_path(unit))
    return Workspace(path)
