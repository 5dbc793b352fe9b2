"""What no digest of a single file tells: choices, environments, files that nobody claims, DVC's gaps."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from trueframe import raw, records
from trueframe.audit import git
from trueframe.audit.code import History
from trueframe.audit.proof.findings import Finding, Kind
from trueframe.audit.proof.lock import Lock
from trueframe.dag import KINDS, STAGES
from trueframe.records import Record


def digests(index: Path) -> list[tuple[str, str]] | None:
    """(video, SHA-256) of each that has a file, by a part's index; None where it is no such table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(index, columns=["video", "sha256"])
    except (OSError, pa.ArrowException):
        return None
    pairs = zip(rows["video"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
    return [(video, sha256) for video, sha256 in pairs if sha256]


def selections(root: Path, told: Iterable[Record], wrong: Collection[str]) -> Iterator[Finding]:
    """Models whose selection.json names other weights than their record. Files that are `wrong` are not looked at."""
    for model in told:
        path = STAGES["models"].outputs["selection"].format(unit=model.unit)
        if model.stage != "models" or path not in model.outputs or path in wrong:
            continue
        chosen = _chosen((root / path).read_bytes())
        if chosen is None:
            advice = "remove its record and run snakemake, which makes it anew"
            yield Finding(path, Kind.UNREADABLE, "a choice of weights", "something else", advice)
        recorded = {name: output.sha256 for name, output in model.outputs.items()}
        for weights, sha256 in ((str(Path(path).parent / file), sha256) for file, sha256 in chosen or ()):
            found = recorded.get(weights, "nothing")
            if sha256 != found:
                advice = "one of the two was edited and DVC told: `git log -p dvc.lock` has the one before"
                yield Finding(path, Kind.LINK, f"sha256:{sha256} of {weights}", f"sha256:{found} in its record", advice)


def _chosen(selection: bytes) -> list[tuple[str, str]] | None:
    """(file of weights, SHA-256) by a selection.json; None of what is no such thing."""
    try:
        return [(str(kept["file"]), str(kept["sha256"])) for kept in json.loads(selection)["kept"]]
    except (ValueError, KeyError, TypeError):
        return None


def environments(root: Path, told: Iterable[Record]) -> Iterator[Finding]:
    """Digests of requirements.lock that no commit has."""
    units: dict[str, list[Record]] = {}
    for record in told:
        units.setdefault(record.environment.get("lock", "missing"), []).append(record)
    if git.head(root) is None:
        return
    history = History(root)
    for digest, group in sorted(units.items()):
        if history.holding({str(records.LOCK): digest}).newest is None:
            expected = f"{digest}, by the records of {len(group)} units, such as {group[0].stage} {group[0].unit}"
            shallow = "; this clone lacks older ones: `git fetch --unshallow`" if git.shallow(root) else ""
            advice = f"commit the file that they were made with, if it is still somewhere{shallow}"
            yield Finding(str(records.LOCK), Kind.UNCOMMITTED, expected, "no commit has it", advice)


def untracked(paths: Iterable[str], lock: Lock) -> Iterator[Finding]:
    """How many of the files DVC does not know, by folder."""
    if not lock.readable:
        return
    parts = (Path(path).parts for path in paths if not lock.knows(path))
    unknown = Counter("/".join(steps[: 2 if steps[0] == "data" else 1]) for steps in parts)
    for folder, count in sorted(unknown.items()):
        if folder == str(raw.RAW):
            advice = f"`dvc add {raw.RAW}`"
        else:
            advice = "`dvc commit -f`; a finished run does it by itself"
        yield Finding(folder, Kind.UNTRACKED, "known to DVC", f"{count} files that are not", advice)


def lacking(counts: Mapping[str, int]) -> Iterator[Finding]:
    """Tracked folders of which DVC's cache has not all."""
    for root, count in sorted(counts.items()):
        advice = f"`dvc fetch {shlex.quote(root)}`, or `dvc commit -f` where the files here are sound"
        yield Finding(root, Kind.ABSENT, "a copy of each content in DVC's cache", f"{count} are not there", advice)


def unclaimed(root: Path, claimed: Collection[str]) -> Iterator[Finding]:
    """Files in the folders of stages and parts that no record and no lock knows, by folder."""
    found: dict[Path, list[str]] = {}
    for folder in (*_folders(), *(raw.RAW / kind / part for kind in KINDS for part in raw.parts(root, kind))):
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root)
            if not path.is_dir() and str(name) not in claimed and not any(step[0] == "." for step in name.parts):
                found.setdefault(name.parent, []).append(name.name)
    for folder, names in sorted(found.items()):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        if folder.is_relative_to(raw.RAW):
            advice = f"if they belong there, `dvc add {raw.RAW}` and run snakemake"
        else:
            advice = "nothing here reads them; remove them"
        yield Finding(str(folder), Kind.UNCLAIMED, "files that a record has", f"{names[0]}{more}", advice)


def _folders() -> set[Path]:
    """The folders that a stage has for itself."""
    folders = {Path(stage.record.partition("{")[0].rstrip("/")) for stage in STAGES.values() if "{" in stage.record}
    alone = {Path(stage.record).parent for stage in STAGES.values() if "{" not in stage.record}
    return folders | {one for one in alone if not any(one in other.parents for other in alone)}
