"""What killed runs and removed parts left behind."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from trueframe import raw
from trueframe.audit.terminal import bytes_text, count, listed
from trueframe.dag import STAGES
from trueframe.doctor.case import DVC_FOLDER, Case
from trueframe.doctor.findings import Finding
from trueframe.engine import STALE, UNITS
from trueframe.upkeep import OWED
from trueframe.workspace import PARTIAL

_SHOWN = 3
_SNAKEMAKES_LOCKS = Path(".snakemake/locks")
_RWLOCK = DVC_FOLDER / "tmp/rwlock"
_DAY_S = 86_400
_AT_WORK = "a run is at work"


def temporary_files(case: Case) -> Iterator[Finding]:
    """Files that were never renamed, because their writer was killed. Those that a process has open are its own."""
    found = list(_unfinished(case.root))
    if found and case.runner is None:
        opened = _opened()
        found = [path for path in found if not any(_written(path) == file or path in file.parents for file in opened)]
    elif found:
        yield Finding("temporary files", "ok", f"{count(len(found), 'one', 'ones')} of the run at work")
        return
    if not found:
        yield Finding("temporary files", "ok", "none")
        return
    yield _left("temporary files", found, case.root, f"of killed runs, {bytes_text(sum(map(_size, found)))}")


def _left(what: str, paths: list[Path], root: Path, told: str) -> Finding:
    """Files or folders that a person may remove."""
    names = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in paths]
    words = " ".join(shlex.quote(name) for name in names[:_SHOWN])
    more = f", and so {len(names) - _SHOWN} more; --json has all" if len(names) > _SHOWN else ""
    return Finding(
        what, "warn", f"{len(names)} {told}: {listed(names, _SHOWN)}", f"run `rm -r {words}`{more}", tuple(names)
    )


def _unfinished(root: Path) -> Iterator[Path]:
    """Temporary files and their spool folders, wherever runs write."""
    yield from _partials(root.iterdir())
    data = root / "data"
    if data.is_dir():
        yield from _partials(data.iterdir())
        yield from sorted(data.glob(f".{raw.RAW.name}-*"))  # of `trueframe demo-data`
    folders = {Path(stage.record.partition("{")[0]).parts for stage in STAGES.values()}
    for parts in sorted({parts[:2] if parts[0] == "data" else parts[:1] for parts in folders} | {(".trueframe",)}):
        for folder, names, files in os.walk(root.joinpath(*parts)):
            here = sorted(_partials(Path(folder) / name for name in (*names, *files)))
            yield from here
            names[:] = [name for name in names if Path(folder) / name not in here]


def _partials(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that are named as files.partial names them, or as the spool beside one."""
    return (path for path in paths if path.name.startswith(".") and path.name.endswith((".partial", ".partial.spool")))


def _written(path: Path) -> Path:
    """The temporary file that a spool belongs to."""
    return path.with_name(path.name.removesuffix(".spool"))


def _opened() -> set[Path]:
    """Files that this user's processes have open."""
    found = set()
    for process in psutil.process_iter():
        try:
            found |= {Path(file.path) for file in process.open_files()}
        except psutil.Error:
            continue  # another user's, or gone
    return found


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(_size(entry) for entry in path.iterdir())
    return path.lstat().st_size


def locks(case: Case) -> Iterator[Finding]:
    """Locks that would stop the next run or DVC though nobody holds them. Ours and MLflow's end with their process."""
    if case.runner is not None:
        yield Finding("locks", "ok", f"{_AT_WORK}, process {case.runner}")
        return
    found = [*_snakemakes(case.root), *_dvcs(case.root)]
    yield from found or [Finding("locks", "ok", "none")]


def _snakemakes(root: Path) -> Iterator[Finding]:
    folder = root / _SNAKEMAKES_LOCKS
    if folder.is_dir() and any(folder.iterdir()):
        yield Finding(
            "locks",
            "warn",
            f"{_SNAKEMAKES_LOCKS}: of a killed run with another profile, which the default one does not look at",
            "run `snakemake --unlock` when no run is at work",
        )


def _dvcs(root: Path) -> Iterator[Finding]:
    """DVC drops entries of processes that are gone, but trips over a number that another program has now."""
    try:
        entries = json.loads((root / _RWLOCK).read_text(encoding="utf-8"))
        writers, readers = entries.get("write", {}).values(), entries.get("read", {}).values()
        holders = {int(one["pid"]) for one in [*writers, *(one for many in readers for one in many)]}
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        yield Finding("locks", "bad", f"{_RWLOCK}: not as DVC writes it", f"run `rm {_RWLOCK}` when no DVC is at work")
        return
    for number in sorted(holders):
        name = _taken_over(number)
        if name is not None:
            yield Finding(
                "locks",
                "bad",
                f"{_RWLOCK}: held by process {number}, which is {name} and not DVC any more",
                f"run `rm {_RWLOCK}`",
            )


def _taken_over(number: int) -> str | None:
    """The name of a process that is not DVC; None where it is, or where there is none."""
    try:
        process = psutil.Process(number)
        return None if any(Path(word).name == "dvc" for word in process.cmdline()) else process.name()
    except psutil.Error:
        return None


def checkpoints(case: Case) -> Iterator[Finding]:
    """What killed trainings left to go on from, and what of it nothing will go on from."""
    units, workspace = case.workspace.layout.units("models"), case.workspace
    useful, done, others = [], [], []
    for path in sorted((case.root / PARTIAL / "models").glob("*/*")):
        unit = path.parent.name
        if unit not in units or ("models", unit) not in case.stale:
            done.append(path)
        elif path.name == workspace.recipe("models", unit).digest:
            useful.append(path)
        else:
            others.append(path)
    if useful:
        yield Finding("checkpoints", "ok", f"{count(len(useful), 'training')} will go on after the last whole epoch")
    if done and case.runner is None:
        yield Finding(
            "checkpoints",
            "warn",
            f"{count(len(done), 'folder')} of finished trainings or of seeds that are gone, "
            f"{bytes_text(sum(map(_size, done)))} in {PARTIAL}",
            "run `trueframe commit`",
        )
    if others and case.runner is None:
        yield _left(
            "checkpoints", others, case.root, f"of other parameters or data, {bytes_text(sum(map(_size, others)))}"
        )
    if not done and not others and not useful:
        yield Finding("checkpoints", "ok", "none")


def removed_units(case: Case) -> Iterator[Finding]:
    """Files of parts and seeds that are gone, and what Snakemake still has of them."""
    found = {stage: case.workspace.orphans(stage) for stage in STAGES}
    if left := [str(path) for paths in found.values() for path in paths]:
        yield Finding(
            "removed units",
            "warn",
            f"{count(len(left), 'file')} of parts or seeds that are gone: {listed(left, _SHOWN)}",
            "the next run removes them, or at once: "
            + ", ".join(f"`trueframe prune {stage}`" for stage, paths in found.items() if paths),
            tuple(left),
        )
    markers = sorted(_outdated_markers(case))
    if markers:
        yield _left("removed units", markers, case.root, "of Snakemake's marks for units that are gone")
    if not left and not markers:
        yield Finding("removed units", "ok", "nothing of them is left")


def _outdated_markers(case: Case) -> Iterator[Path]:
    for stage in STAGES:
        units = set(case.workspace.layout.units(stage))
        for base, depth in ((UNITS / stage, 0), (STALE / stage, 1)):
            folder = case.root / base
            files = [path for path in folder.rglob("*") if path.is_file()]
            yield from {
                path.parents[depth - 1] if depth else path
                for path in files
                if str((path.parents[depth - 1] if depth else path).relative_to(folder)) not in units
            }


def owed(case: Case) -> Iterator[Finding]:
    """Whether DVC was told of what was made."""
    if (case.root / OWED).exists() and case.runner is None:
        yield Finding(
            "DVC's lock",
            "warn",
            "the last run ended before DVC was told what it made",
            "run again, or `trueframe commit`; before `dvc push`",
        )
    else:
        yield Finding("DVC's lock", "ok", _AT_WORK if case.runner else "no run ended before DVC was told")


def records(case: Case) -> Iterator[Finding]:
    """Records that are there and can't be used."""
    units = [(stage, unit) for stage in STAGES for unit in case.workspace.layout.units(stage)]
    paths = {(stage, unit): STAGES[stage].record_path(unit) for stage, unit in units}
    broken = [
        str(path)
        for node, path in paths.items()
        if (case.root / path).exists() and "no_record" in case.stale.get(node, ())
    ]
    if broken:
        yield Finding(
            "records",
            "warn",
            f"{count(len(broken), 'file')} that is no record of this format: {listed(broken, _SHOWN)}",
            "run again: what they lie beside is made anew; or `dvc checkout` brings the last ones back",
            tuple(broken),
        )
    else:
        yield Finding("records", "ok", f"{len(units) - len(case.stale)} of {count(len(units), 'unit')} are fresh")


def scored(case: Case) -> Iterator[Finding]:
    """What killed calls of `trueframe predict` left in the folder of temporary files."""
    folder = Path(tempfile.gettempdir())
    old = time.time() - _DAY_S
    found = [
        path
        for path in sorted(folder.glob("trueframe-*"))
        if not path.name.startswith("trueframe-gpus-") and _is_mine_and_before(path, old)
    ]
    if found:
        yield _left("predictions", found, case.root, f"of killed calls, {bytes_text(sum(map(_size, found)))}")
    else:
        yield Finding("predictions", "ok", f"no call of `trueframe predict` left anything in {folder}")


def _is_mine_and_before(path: Path, when: float) -> bool:
    try:
        known = path.stat()
    except FileNotFoundError:
        return False  # its call ended meanwhile
    return known.st_uid == os.getuid() and known.st_mtime < when and path.is_dir()
