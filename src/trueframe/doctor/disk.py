"""Disk space: what the next run may take, beside what is free.

Nobody knows before a run what it will write. What is known: the raw videos' bytes, which units may run, and what the
made units took. So a unit is taken to write as many bytes for each raw byte of its parts as the made ones of its stage
did, and a model as many as the others have. While nothing of a stage is made there is nothing to go by: crops and masks
are then taken to be as DFDC's (docs/performance.md), models are told as not known; tables are small beside all these.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from trueframe import raw
from trueframe.audit.objects import RAW_FILE
from trueframe.audit.terminal import bytes_text, count, listed
from trueframe.dag import ONE, STAGES
from trueframe.doctor.case import Case
from trueframe.doctor.findings import Finding, State
from trueframe.doctor.sharing import cache_folder
from trueframe.engine import STALE, UNITS
from trueframe.workspace import PARTIAL, Workspace

# Bytes for each raw byte: docs/performance.md has 301 GB of crops and 164 GB of masks for 472 GB of videos.
_AS_DFDC = {"crops": 0.64, "masks": 0.35}
_SHOWN = 3
_TIGHT = 0.8  # of what is free; estimates are no better than that
_FOLDERS = ("data", "models", "reports", ".snakemake", ".trueframe", ".dvc", ".dvc/tmp", ".")
_DEPTH = 3  # of the folders that jobs write below these: .trueframe/partial/models/<seed>


@dataclass
class Estimate:
    """Bytes that the stale units may write, by stage; raw: of videos that DVC is to put into its cache.

    guessed, unknown: stages with nothing made to go by.
    """

    stages: dict[str, int] = field(default_factory=dict)
    raw: int = 0
    guessed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class Sizes:
    """What units took, and what lies behind them."""

    def __init__(self, workspace: Workspace) -> None:
        """Reads sizes alone, of files and of records."""
        self._workspace = workspace

    @cached_property
    def raw(self) -> dict[str, dict[str, int]]:
        """Part to path, relative to the workspace, to size in bytes."""
        found = {}
        for part in self._workspace.layout.parts("every"):
            folder = self._workspace.root / raw.RAW / part
            entries = list(os.scandir(folder)) if folder.is_dir() else []
            found[part] = {
                f"{raw.RAW}/{part}/{entry.name}": entry.stat().st_size for entry in entries if entry.is_file()
            }
        return found

    def behind(self, stage: str, unit: str) -> int:
        """Bytes of the raw videos that a unit goes back to; 1 for a model, whose size is up to its encoder."""
        return 1 if STAGES[stage].units == "seed" else sum(sum(self.raw[part].values()) for part in self._parts(unit))

    def rate(self, stage: str) -> float | None:
        """Bytes that the made units of a stage have for each byte behind them; None where there are none."""
        made = base = 0
        for unit in self._workspace.layout.units(stage):
            record = self._workspace.record(stage, unit)
            if record is not None:
                made += sum(output.size for output in record.outputs.values())
                base += 1 if STAGES[stage].units == "seed" else sum(self._indexed(part) for part in self._parts(unit))
        return made / base if base else None

    def _parts(self, unit: str) -> list[str]:
        if unit == ONE:
            return self._workspace.layout.parts("every")
        return ["/".join(unit.split("/")[-2:])]

    def _indexed(self, part: str) -> int:
        """Bytes of the videos that are there and were when the part was last indexed."""
        known = self._workspace.recorded_raw("index", part)
        return sum(size for path, size in self.raw[part].items() if path in known)

    def uncached(self, part: str, cache: Path) -> int:
        """Bytes of the files that are not in DVC's cache, or whose content is not known."""
        digests = self._workspace.hashes.part(part)
        return sum(self.raw[part].get(path, 0) for path, digest in digests.items() if not _cached(digest, cache))


def _cached(digest: str, cache: Path) -> bool:
    md5 = digest.removeprefix("md5:")
    return md5 != digest and (cache / "files/md5" / md5[:2] / md5[2:]).exists()


def estimate(case: Case) -> Estimate:
    """What the stale units may write. Raises UserError or UnknownError where it can't be told which these are."""
    workspace, found = case.workspace, Estimate()
    sizes = Sizes(workspace)
    for stage in STAGES:
        units = [unit for name, unit in case.stale if name == stage]
        rate = sizes.rate(stage)
        if not units:
            continue
        if rate is None:
            (found.guessed if stage in _AS_DFDC else found.unknown).append(stage)
            rate = _AS_DFDC.get(stage, 0.0)
        found.stages[stage] = int(rate * sum(sizes.behind(stage, unit) for unit in units))
    if (workspace.root / RAW_FILE).exists():
        cache = cache_folder(case)
        found.raw = sum(sizes.uncached(unit, cache) for name, unit in case.stale if name == "index")
    return found


def space(case: Case) -> Iterator[Finding]:
    """Whether each disk that the next run writes to has the room."""
    if not case.workspace.has_raw and case.stale:
        yield Finding("disk space", "skipped", f"{raw.RAW} is not here, so that nothing can run")
        return
    found = estimate(case)
    yield from (
        _room(place, needed, found, count(len(case.stale), "unit")) for place, needed in _by_disk(case, found).values()
    )


def _by_disk(case: Case, found: Estimate) -> dict[int, tuple[Path, int]]:
    """Device number to a folder on it and the bytes that it is to take."""
    needs: Counter[Path] = Counter()
    keep = case.workspace.params.models.keep
    for stage, size in found.stages.items():
        # A training keeps its state, weights and momentum, twice while it saves, and its best epochs with the newest;
        # MLflow gets a copy of the weights.
        extra = size * (5 + keep) // keep + size if stage == "models" else 0
        needs[case.root / Path(STAGES[stage].record.partition("{")[0])] += size + extra
    cache = cache_folder(case)
    made = sum(found.stages.values()) + found.raw
    needs[cache] += made if _copied(case) or _device(cache) != _device(case.root) else 0
    disks: dict[int, tuple[Path, int]] = {}
    for place, size in needs.items():
        device = _device(place)
        first, before = disks.get(device, (place, 0))
        disks[device] = (first, before + size)
    return disks


def _copied(case: Case) -> bool:
    """Whether DVC keeps a second copy. Taken for true where that is up to the file system, as with reflinks."""
    return next((kind for kind in raw.cache_types(case.config) if kind != "reflink"), "copy") == "copy"


def _there(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _device(path: Path) -> int:
    return _there(path).stat().st_dev


def _room(place: Path, needed: int, found: Estimate, units: str) -> Finding:
    folder = _there(place)
    free = shutil.disk_usage(folder).free
    told = f"{bytes_text(free)} free, the next run may take {bytes_text(needed)} for {units}, {_basis(found)}"
    if not found.stages:
        return Finding("disk space", "ok", f"{bytes_text(free)} free, nothing is to be made")
    if needed <= free * _TIGHT:
        return Finding("disk space", "ok", told)
    state: State = "bad" if needed > free and not found.guessed else "warn"
    return Finding(
        "disk space",
        state,
        f"{folder}: {told}",
        f"free {bytes_text(max(0, needed - free)) if needed > free else 'some'} there, "
        "or keep one copy of everything by `dvc config cache.type symlink`",
    )


def _basis(found: Estimate) -> str:
    """How that is known."""
    told = ["guessed from DFDC's" if found.guessed else "by what the made ones took"]
    if found.unknown:
        told.append(f"without {', '.join(found.unknown)}, of which none is made yet")
    return "; ".join(told)


def writable(case: Case) -> Iterator[Finding]:
    """Whether the workspace can be written, and the folders in it that runs write to."""
    there = [case.root / name for name in _FOLDERS if (case.root / name).is_dir()]
    records = (stage.record.partition("{")[0] for stage in STAGES.values())
    below = {Path(record.rpartition("/")[0]) for record in records} | {UNITS, STALE, PARTIAL}
    there += sorted(folder for path in below for folder in _folders(case.root / path, _DEPTH))
    closed = list(dict.fromkeys(str(path) for path in there if not os.access(path, os.W_OK | os.X_OK)))
    if closed:
        told = f"{listed(closed, _SHOWN)}: can't be written"
        yield Finding("folders", "bad", told, "give this user access to them", tuple(closed))
    else:
        yield Finding("folders", "ok", "can be written")


def _folders(path: Path, depth: int) -> Iterator[Path]:
    """A folder and those below it; none where it is not there."""
    if not path.is_dir():
        return
    yield path
    if depth:
        with os.scandir(path) as entries:
            below = [Path(entry.path) for entry in entries if entry.is_dir()]
        for folder in below:
            yield from _folders(folder, depth - 1)
