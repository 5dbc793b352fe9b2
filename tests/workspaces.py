"""Workspaces for engine tests: clones of this repository, with its own code, on a few seconds of video."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import yaml

from trueframe.dag import STAGES
from trueframe.workspace import Workspace

REPO = Path(__file__).parents[1]
# As an ordinary user meets files: root without the right to pass over permissions.
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
TINY = {
    "bboxes.test.frames": 2,
    "folds.count": 2,
    "models.seeds": [1],
    "models.encoder": "test_efficientnet",
    "models.size_px": 64,
    "models.epochs": 2,
    "models.keep": 2,
    "models.batch_size": 4,
    "models.validation_every_n_frames": 10,
    # OpenVINO converts a network anew in each job, which takes seconds; tests/test_backends.py is about it.
    "predictions.backend": "torch",
    "predictions.train_folds": "held_out",
}
# An unpacked file of the project's that git tracks, or would.
_COPIED = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
# What a run wrote here, as `make demo` does before `make test`; its artifacts are not in the clone.
_MADE_HERE = ("dvc.lock", "data/raw.dvc")


def clone(path: Path) -> Path:
    """A new repository at `path` with this one's files as they are, committed."""
    path.mkdir(parents=True)
    names = subprocess.run(_COPIED, cwd=REPO, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if name not in _MADE_HERE and (REPO / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, path / name)
    # What numba compiled of the same files, which takes each clone seconds.
    for compiled in (REPO / "src").rglob("__pycache__/*.nb?"):
        target = path / compiled.relative_to(REPO)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(compiled, target)
    git(path, "init", "--quiet", "--initial-branch=main")
    git(path, "config", "user.name", "test")
    git(path, "config", "user.email", "test@example.org")
    commit(path, "the project")
    return path


def git(path: Path, *words: str) -> str:
    """What git says."""
    return subprocess.run(["git", *words], cwd=path, capture_output=True, text=True, check=True).stdout


def commit(path: Path, message: str) -> None:
    """Commit all that git sees."""
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", "--message", message)


def environment(path: Path) -> dict[str, str]:
    """The caller's environment with this Python's programs first, and places of DVC's own beside `path`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "PYTEST_"))}
    kept.pop("PYTHONPATH", None)
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(path.parent / "dvc-site"),
        "DVC_GLOBAL_CONFIG_DIR": str(path.parent / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(path.parent / "dvc-system"),
    }


def call(path: Path, *words: str, check: bool = True, **environment_changes: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a workspace; its output is shown when it fails and should not."""
    done = subprocess.run(
        words, cwd=path, env=environment(path) | environment_changes, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done


def snakemake(path: Path, *words: str, cores: int = 2, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a workspace."""
    return call(path, "snakemake", "--cores", str(cores), *words, **options)


@functools.cache
def closed_network() -> tuple[str, ...]:
    """Words before a program's that close the network to it, loopback included; none where the kernel forbids it."""
    kinds = (("unshare", "--net"), ("unshare", "--net", "--map-root-user"))
    tried = (
        words for words in kinds if not subprocess.run((*words, "true"), capture_output=True, check=False).returncode
    )
    return next(tried, ())


def watched(log: Path) -> dict[str, str]:
    """Environment of a program all of whose Python processes note in `log` that they use the network."""
    return {"PYTHONPATH": str(REPO / "tests/closed"), "TRUEFRAME_NETWORK_LOG": str(log)}


def planned(path: Path, target: str = "submission") -> set[tuple[str, str]]:
    """The (stage, unit) pairs that Snakemake would run."""
    told = snakemake(path, "--dry-run", target)
    jobs: set[tuple[str, str]] = set()
    for block in re.split(r"\n\n|\n(?=\[)", told.stdout + told.stderr):
        rule = re.search(r"^(?:local)?rule (\w+)_unit:", block, re.MULTILINE)
        if rule:
            wildcards = re.search(r"wildcards: (.*)", block)
            values = [item.partition("=")[2] for item in wildcards[1].split(", ")] if wildcards else ["all"]
            jobs.add((rule[1], "/".join(values)))
    assert jobs or "Nothing to be done" in told.stdout + told.stderr, told.stderr
    return jobs


def stages(jobs: Iterable[tuple[str, str]]) -> list[str]:
    """The stages of some jobs, in the DAG's order."""
    names = {stage for stage, _ in jobs}
    return [stage for stage in STAGES if stage in names]


def family(path: Path, part: str) -> tuple[str, str]:
    """A real video of a train part, and a fake made from it."""
    metadata = json.loads((path / f"data/raw/{part}/metadata.json").read_text())
    return next((entry["original"], name) for name, entry in sorted(metadata.items()) if entry["label"] == "FAKE")


def scored_video(path: Path) -> str:
    """A video of the test part."""
    return min(file.name for file in (path / "data/raw/test/part_00").glob("*.mp4"))


def edit_params(path: Path, changes: dict[str, Any]) -> None:
    """Set parameters, named section.key."""
    values = yaml.safe_load((path / "params.yaml").read_text())
    for name, value in changes.items():
        *steps, last = name.split(".")
        section = values
        for step in steps:
            section = section[step]
        assert last in section, name
        section[last] = value
    (path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of every artifact and record of a workspace."""
    workspace = Workspace(path)
    found = {}
    for stage, entry in STAGES.items():
        for unit in workspace.layout.units(stage):
            for file in (*workspace.layout.output_paths(stage, unit), entry.record_path(unit)):
                found[str(file)] = hashlib.sha256((path / file).read_bytes()).hexdigest()
    return found


def as_another(path: Path, stage: str, unit: str, other: str) -> None:
    """Copy a unit's artifacts and record as another unit's, which the workspace does not have."""
    workspace = Workspace(path)
    record = workspace.record(stage, unit)
    assert record is not None
    outputs = {}
    for name, output in record.outputs.items():
        target = path / name.replace(unit, other, 1)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path / name, target)
        outputs[str(target.relative_to(path))] = output
    dataclasses.replace(record, unit=other, outputs=outputs).write(path / STAGES[stage].record_path(other))


def clean(path: Path) -> None:
    """Assert that both engines have nothing to do."""
    assert planned(path) == set()
    told = call(path, "dvc", "status")
    assert "up to date" in told.stdout, told.stdout


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The workers of a process's pool."""
    return [child for child in process.children() if "spawn_main" in str(child.cmdline())]
