"""What the Snakefile asks: the files of each unit, and which must run. No Snakemake in here, no decisions there."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from pathlib import Path
from typing import IO, Any

import yaml

from trueframe import card
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.upkeep import LOCK, OWED, at_work
from trueframe.workspace import PARAMS, WORDS_FOR_WEIGHTS, Workspace, take

# Snakemake sees a unit as one empty file, there when the unit has a record. Its mtime is always the same, so that
# Snakemake, which looks at mtimes, sees no order among units; older than any real file, and not 0, which it takes for
# "no file". The artifacts are none of Snakemake's outputs: it would delete an output before the job that makes it anew,
# or, marked `update`, copy it first and after a failure write the copy back, through a symlink into DVC's cache.
UNITS = Path(".snakemake/units")
_MTIME_S = 86_400
STALE = Path(".snakemake/stale")
_PRUNED = Path(".snakemake/pruned")
_TOLD = Path(".snakemake/told")


class Engine:
    """One parse of the Snakefile. Only the main process looks for stale units; a job's process is told what to run."""

    def __init__(self, root: Path, main: bool, config: dict[str, Any]) -> None:
        """Check the workspace and show its units to Snakemake. Raises UserError with what the user must mend."""
        self._workspace = Workspace(root)
        if not any(word.startswith("--lint") for word in sys.argv):  # a look at the rules needs no videos
            self._workspace.require_raw()
        self._root = root
        self._main = main
        self._lock: IO[str] | None = None
        self._use_own_code()
        if not main:
            return
        _refuse_overrides(config, root / PARAMS)
        refuse_hardlinks(self._workspace.hashes.cache_types)
        require_weights(root, self._workspace.params.models.weights)
        if not at_work(root):
            self._show_units()

    def _use_own_code(self) -> None:
        """Jobs run the workspace's code with the Python that runs Snakemake, whatever else is installed."""
        paths = {"PYTHONPATH": str(self._root / "src"), "PATH": str(Path(sys.executable).parent)}
        for variable, first in paths.items():
            others = [path for path in os.environ.get(variable, "").split(os.pathsep) if path not in ("", first)]
            os.environ[variable] = os.pathsep.join([first, *others])

    def _show_units(self) -> None:
        """Make Snakemake's view of the units what the records say."""
        for stage in STAGES:
            for unit in self._workspace.layout.units(stage):
                path = self._root / UNITS / stage / unit
                if self._workspace.record(stage, unit) is None:
                    path.unlink(missing_ok=True)
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()
                    os.utime(path, (_MTIME_S, _MTIME_S))

    def units(self, stage: str) -> list[str]:
        """All units of a stage, as Snakemake sees them."""
        return [str(UNITS / stage / unit) for unit in self._workspace.layout.units(stage)]

    def upstream(self, stage: str, unit: str) -> list[str]:
        """The units that a unit reads from."""
        return [str(UNITS / name / source) for name, source in self._workspace.layout.upstream(stage, unit)]

    def stale(self, stage: str, unit: str) -> list[str]:
        """New files, named after the reasons, that make Snakemake run a stale unit; none for a fresh one.

        Each file's content is new each time: Snakemake would hold an equal checksum from an earlier run against the
        rerun.
        """
        if not self._main:
            return []
        markers = [STALE / stage / unit / _file_name(reason) for reason in self._workspace.reasons(stage, unit)]
        for marker in markers:
            (self._root / marker).parent.mkdir(parents=True, exist_ok=True)
            (self._root / marker).write_text(f"{time.time_ns()}\n", encoding="utf-8")
        return [str(marker) for marker in markers]

    def orphans(self, stage: str) -> list[str]:
        """The file that asks for a job to remove what removed parts and seeds left in a stage; none if nothing is."""
        if not self._main or not self._workspace.orphans(stage):
            return []
        marker = self._root / _PRUNED / stage
        marker.unlink(missing_ok=True)
        return [str(_PRUNED / stage)]

    def all_orphans(self) -> list[str]:
        """The same for every stage."""
        return [marker for stage in STAGES for marker in self.orphans(stage)]

    def debts(self) -> list[str]:
        """The file that asks for a run where a killed one did not tell DVC what it made, as each does at its end."""
        if not self._main or not (self._root / OWED).exists() or at_work(self._root):
            return []
        (self._root / _TOLD).unlink(missing_ok=True)
        return [str(_TOLD)]

    def share(self, stage: str, cores: int | None) -> int:
        """Cores for a job of a stage: as many as there are for each of its units, and one at least."""
        return max(1, (cores or 1) // max(1, len(self._workspace.layout.units(stage))))

    def start(self) -> None:
        """Take the workspace for this run; the hold ends with the process. Raises UserError when another run has it."""
        path = self._root / LOCK
        path.parent.mkdir(exist_ok=True)
        self._lock = path.open("a+", encoding="utf-8")
        if not take(self._lock):
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            raise UserError(
                f"{path}: another run (process {holder}) works in this folder; wait until it ends, then run again"
            )
        (self._root / OWED).touch()
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()


def _file_name(reason: str) -> str:
    """A reason as a file name: plain characters, short, and different for different reasons."""
    plain = re.sub(r"[^\w.+-]", "_", reason, flags=re.ASCII)
    if plain == reason and len(plain) <= 100:
        return plain
    return f"{plain[:100]}-{hashlib.sha256(reason.encode()).hexdigest()[:8]}"


def _refuse_overrides(config: dict[str, Any], path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    changed = sorted(key for key in config.keys() | values.keys() if config.get(key) != values.get(key))
    if changed:
        raise UserError(
            f"--config {', '.join(changed)}: parameters come from {path.name} alone, so that a record can tell them; "
            f"edit {path.name}, or use `dvc exp run -S {changed[0]}.…=…`"
        )


def refuse_hardlinks(cache_types: list[str]) -> None:
    """Raise UserError where DVC may link its cache by hardlinks."""
    if "hardlink" in cache_types:
        raise UserError(
            f".dvc/config: cache.type {','.join(cache_types)}: hardlinks make artifacts read-only and Snakemake won't "
            "replace them; use `dvc config cache.type reflink,copy`, or symlink, which keeps no second copy"
        )


def require_weights(root: Path, weights: str) -> None:
    """Raise UserError where models.weights is a file that a training, hours later, would not take by what it is."""
    if weights in WORDS_FOR_WEIGHTS:
        return
    path, where = root / weights, f"{PARAMS}: models.weights: {weights}"
    if path.exists() and not os.access(path, os.R_OK):
        raise UserError(f"{where}: can't be read; give this user access to it")
    card.refuse_pickle(path, where)
    if not path.is_file():
        raise UserError(f"{where}: no such file; expected hub, none or the path of a safetensors file")
