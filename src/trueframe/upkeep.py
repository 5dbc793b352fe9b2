"""Keeping the workspace and DVC in step with what was made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from trueframe import raw
from trueframe.dag import STAGES, downstream
from trueframe.printable import printable
from trueframe.workspace import PARTIAL, Workspace, take

_RAW_FILE = Path("data/raw.dvc")
# There from the start of a run until DVC knows what it made; a killed run leaves it, so that the next one tells DVC.
OWED = Path(".snakemake/owed")
LOCK = Path(".snakemake/trueframe.lock")  # a run holds it with flock, and so no longer than it lives


def at_work(root: Path) -> bool:
    """Whether a run of Snakemake has the workspace."""
    path = root / LOCK
    if not path.exists():
        return False
    with path.open("r", encoding="utf-8") as file:
        return not take(file)


def prune(workspace: Workspace, stage: str) -> None:
    """Remove what removed parts and seeds left in a stage, and folders then empty. DVC's cache keeps its copies.

    Raises UserError where all parts of a kind are gone at once.
    """
    if workspace.has_raw:
        workspace.require_raw()
    for path in workspace.orphans(stage):
        (workspace.root / path).unlink()
        print(f"{stage}: removed {path}, whose unit is gone", file=sys.stderr)
        folder = (workspace.root / path).parent
        while folder != workspace.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def finished(workspace: Workspace) -> list[str]:
    """The stages that DVC may be told of: every unit is fresh, nothing of removed units is left."""
    stale = {stage for stage, _ in workspace.stale_units()}
    return [
        stage
        for stage in STAGES
        if stage not in stale and workspace.layout.units(stage) and not workspace.orphans(stage)
    ]


def commit(workspace: Workspace, ends_run: bool = False) -> None:
    """Write what is finished into dvc.lock and the cache. A failure is told and harms nothing.

    Where DVC itself runs us it writes them by itself. ends_run: a run asks for it, as its last act; asked for by hand
    while a run works, it is not the last word.
    """
    _forget_partial(workspace)
    _remove_unfinished(workspace)
    told = "DVC_STAGE" in os.environ or _told(workspace)
    if told and (ends_run or not at_work(workspace.root)):
        (workspace.root / OWED).unlink(missing_ok=True)


def _forget_partial(workspace: Workspace) -> None:
    """Remove what killed trainings left to go on from, where the seed is gone or was trained in the end."""
    units = workspace.layout.units("models")
    for folder in (workspace.root / PARTIAL / "models").glob("*"):
        if folder.name not in units or workspace.fresh("models", folder.name):
            shutil.rmtree(folder)


def _remove_unfinished(workspace: Workspace) -> None:
    """Remove what killed jobs left of units that are fresh, for a change was taken back: no other job replaces it."""
    stale = workspace.stale_units()
    for stage in STAGES:
        for unit in workspace.layout.units(stage):
            if (stage, unit) not in stale:
                workspace.remove_unfinished(stage, unit)


def _told(workspace: Workspace) -> bool:
    stages = finished(workspace)
    if not stages:
        return True
    if "index" in stages and (obstacle := raw.obstacle(workspace.root)):
        print(
            f"DVC was not told of {', '.join(stages)}: {printable(obstacle)}, and DVC takes all of {raw.RAW} or "
            "nothing; mend or remove it, and the next run tells DVC",
            file=sys.stderr,
        )
        return False
    words = [sys.executable, "-m", "dvc", "commit", "--force", "--quiet", *_asked(workspace, stages)]
    done = subprocess.run(words, cwd=workspace.root, check=False)
    if done.returncode:
        print(f"DVC was not told of {', '.join(stages)}; the next run tries again, or `dvc commit -f`", file=sys.stderr)
    return done.returncode == 0


def _asked(workspace: Workspace, stages: list[str]) -> list[str]:
    """How DVC is asked for these stages and the raw videos by few names: it reads all its files again for each."""
    if set(stages).isdisjoint(downstream(stage for stage in STAGES if stage not in stages)):
        return ["--with-deps", *(stage for stage in stages if set(downstream([stage])).isdisjoint({*stages} - {stage}))]
    raw_file = [str(_RAW_FILE)] if "index" in stages and (workspace.root / _RAW_FILE).exists() else []
    return raw_file + stages
