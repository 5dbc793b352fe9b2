"""A workspace as it stands: its units, their recipes of now, and which of them are fresh. Records alone are read."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import yaml

from trueframe import claims, raw, records, withdrawn
from trueframe import params as parameters
from trueframe.dag import KINDS, STAGES, Layout, Stage
from trueframe.errors import UserError
from trueframe.files import canonical_json, partial, sha256_text
from trueframe.records import Recipe, Record

PARAMS = Path("params.yaml")
DVC = Path("dvc.yaml")
# What killed runs go on from: by stage, unit and recipe, outside the artifacts, which DVC would see.
PARTIAL = Path(".trueframe/partial")
_LOCKS = Path(".trueframe/locks")
WORDS_FOR_WEIGHTS = ("hub", "none")  # in models.weights, which else names a file
# What tells models' units apart is no part of their recipes: a new seed must not retrain the others.
UNIT_KEYS = {"models": ("seeds",)}


class Workspace:
    """A folder with params.yaml, dvc.yaml, the code in src/ and the artifacts. What was read once is remembered."""

    def __init__(self, root: Path) -> None:
        """Read the parameters; raises UserError when they are absent or wrong."""
        self.root = root
        self.params = parameters.load(root / PARAMS)
        self.hashes = raw.Hashes(root)
        self.has_raw = (root / raw.RAW).is_dir()
        self._records: dict[tuple[str, str], Record | None] = {}
        self._reasons: dict[tuple[str, str], list[str]] = {}

    @cached_property
    def layout(self) -> Layout:
        """The parts, from the raw videos (from the index's records in a clone that has none), and the seeds."""
        train, test = (raw.parts(self.root, kind) if self.has_raw else self._names(kind) for kind in KINDS)
        return Layout(train, test, tuple(self.params.models.seeds), self.params.models.keep)

    def require_raw(self) -> None:
        """Raise UserError where there is nothing to work on, and where all parts of a kind are gone at once.

        A disk that is not mounted looks like that; taken for removed, all that was made of them would go.
        """
        raw.require(self.root)
        for kind in KINDS:
            if not self.layout.parts(kind) and (known := self.recorded(kind)):
                raise UserError(
                    f"{raw.RAW}/{kind}: has no part, and data/index/{kind} tells of {len(known)}; if a disk is not "
                    f"mounted, mount it; if they are gone for good, remove data/index/{kind}, and run again"
                )

    def recorded(self, kind: str) -> list[str]:
        """Units of the parts of a kind whose index has a record, whether they are still in data/raw or not."""
        return [f"{kind}/{name}" for name in self._names(kind)]

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.root / "data/index" / kind).glob("*.json")))

    @cached_property
    def declared(self) -> dict[str, tuple[Path, ...]]:
        """Stage to the modules that dvc.yaml declares as its code."""
        stages = yaml.safe_load((self.root / DVC).read_text(encoding="utf-8"))["stages"]
        return {name: tuple(Path(dep) for dep in stages[name]["deps"] if dep.endswith(".py")) for name in STAGES}

    def record(self, stage: str, unit: str) -> Record | None:
        """A unit's record; None where there is none."""
        key = (stage, unit)
        if key not in self._records:
            self._records[key] = records.read(self.root / STAGES[stage].record_path(unit))
        return self._records[key]

    def recipe(self, stage: str, unit: str) -> Recipe:
        """What would make the unit now."""
        section = getattr(self.params, stage).model_dump(mode="json")
        known = {key: value for key, value in section.items() if key not in UNIT_KEYS.get(stage, ())}
        code = {str(path): records.code_digest(self.root / path) for path in self.declared[stage]}
        return Recipe(known, code, self._inputs(stage, unit))

    def _inputs(self, stage: str, unit: str) -> dict[str, str]:
        inputs = dict(self._raw_inputs(stage, unit))
        for path, (source, source_unit) in self.layout.inputs(stage, unit).items():
            record = self.record(source, source_unit)
            output = record.outputs.get(str(path)) if record else None
            inputs[str(path)] = f"sha256:{output.sha256}" if output else "missing"
        return inputs

    def _raw_inputs(self, stage: str, unit: str) -> Iterator[tuple[str, str]]:
        """index reads a part's videos, evaluation the labels, models a file of weights where one is named.

        The others trust the index, which has every video's digest, and knows what is withdrawn.
        """
        if stage == "models" and self.params.models.weights not in WORDS_FOR_WEIGHTS:
            yield self.params.models.weights, self.hashes.file(self.root / self.params.models.weights)
        if stage == "index":
            files = self.hashes.part(unit) if self.has_raw else self.recorded_raw(stage, unit)
            yield from files.items()
            if names := self._withdrawn_names(unit, files):
                yield str(withdrawn.PATH), f"names:{sha256_text(canonical_json(sorted(names)))}"
        elif stage == "evaluation" and not self.has_raw:
            yield from self.recorded_raw(stage, unit).items()
        elif stage == "evaluation":
            for part in self.layout.parts("test"):
                yield from self.hashes.labels(part).items()

    def recorded_raw(self, stage: str, unit: str) -> dict[str, str]:
        """The raw files that a unit read by its record, path to "md5:<digest>"; these count in a clone without any."""
        record = self.record(stage, unit)
        known = record.recipe.inputs if record else {}
        return {path: digest for path, digest in known.items() if path.startswith(f"{raw.RAW}/")}

    @cached_property
    def withdrawals(self) -> tuple[withdrawn.Withdrawn, ...]:
        """What data/withdrawn.csv has. Raises UserError where it can't be read."""
        return withdrawn.read(self.root / withdrawn.PATH)

    def withdrawn_names(self, unit: str) -> frozenset[str]:
        """Names that are withdrawn in a part with raw videos: withdrawn.names. The recipe of its index has a digest."""
        return self._withdrawn_names(unit, self.hashes.part(unit))

    def _withdrawn_names(self, unit: str, files: Mapping[str, str]) -> frozenset[str]:
        if not self.withdrawals:
            return frozenset()
        by_name = {Path(path).name: digest for path, digest in files.items()}
        return withdrawn.names(self.withdrawals, by_name, self.originals(unit).values())

    def originals(self, unit: str) -> Mapping[str, str]:
        """What each fake of a part was made from: by its metadata, in a clone without videos by its index."""
        if unit.startswith("test/"):
            return {}
        if not (self.root / raw.RAW / unit).is_dir():
            return self._indexed_originals(unit)
        try:
            return claims.originals(claims.read(self.root / raw.RAW / unit))
        except UserError:
            return {}  # metadata that can't be read: the part's index will not be made, and says why

    def _indexed_originals(self, unit: str) -> dict[str, str]:
        from trueframe import tables

        path = self.root / self.layout.output("index", "table", unit)[0]
        rows = tables.read_rows(path, ["video", "original"]) if path.is_file() else []
        return {row["video"]: row["original"] for row in rows if row["original"] is not None}

    def reasons(self, stage: str, unit: str) -> list[str]:
        """Why a unit is not fresh, from its own record alone: what is missing or changed. Empty: it is fresh.

        That a unit upstream is stale is not told here: whether its bytes will change is not known before it has run.
        """
        key = (stage, unit)
        if key not in self._reasons:
            self._reasons[key] = list(self._compare(STAGES[stage], unit))
        return self._reasons[key]

    def _compare(self, stage: Stage, unit: str) -> Iterator[str]:
        record = self.record(stage.name, unit)
        if record is None or (record.stage, record.unit) != (stage.name, unit):
            yield "no_record"
            return
        for path in self.layout.output_paths(stage.name, unit):
            output = record.outputs.get(str(path))
            try:
                size = (self.root / path).stat().st_size
            except OSError:
                size = None
            if output is None or size != output.size:
                yield f"output.{path.name}"
        recipe = self.recipe(stage.name, unit)
        if recipe == record.recipe:
            return
        before, now = record.recipe, recipe
        yield from _changed("params", leaves(before.params), leaves(now.params))
        yield from _changed("code", before.code, now.code)
        yield from _changed("input", before.inputs, now.inputs)

    def fresh(self, stage: str, unit: str) -> bool:
        """Whether the unit's artifacts are there and its record's recipe is the recipe of now."""
        return not self.reasons(stage, unit)

    def stale_units(self) -> dict[tuple[str, str], list[str]]:
        """Every unit that must or may run, and why; "upstream.<stage>" where one that it reads is among them."""
        found: dict[tuple[str, str], list[str]] = {}
        for stage in STAGES:
            for unit in self.layout.units(stage):
                above = dict.fromkeys(
                    name for name, source in self.layout.upstream(stage, unit) if (name, source) in found
                )
                reasons = self.reasons(stage, unit) + [f"upstream.{name}" for name in above]
                if reasons:
                    found[stage, unit] = reasons
        return found

    @contextmanager
    def alone(self, stage: str, unit: str) -> Iterator[None]:
        """Hold a unit, as long as the process lives; raises UserError where another process makes it.

        Two would write into the same temporary files.
        """
        path = self.root / _LOCKS / stage / unit
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            if not take(file):
                raise UserError(f"{stage} {unit}: another process makes it; wait until that has ended")
            yield

    def remove_unfinished(self, stage: str, unit: str) -> None:
        """Remove the temporary files of work on a unit, its record's too."""
        for path in (*self.layout.output_paths(stage, unit), STAGES[stage].record_path(unit)):
            temporary = partial(self.root / path)
            temporary.unlink(missing_ok=True)
            shutil.rmtree(temporary.with_name(f"{temporary.name}.spool"), ignore_errors=True)

    def orphans(self, stage: str) -> list[Path]:
        """Files, relative to the workspace, of units that the stage no longer has: of removed parts and seeds.

        Of a unit that is gone, what its record tells of, and last the record: a file of the same shape that somebody
        put there is not ours. Of one that is there, weights beyond those that are kept.
        """
        entry = STAGES[stage]
        folder = Path(entry.record.partition("{")[0])
        if folder == Path(entry.record):
            return []  # a stage with one unit has no others
        units = set(self.layout.units(stage))
        mine = {path for unit in units for path in [entry.record_path(unit), *self.layout.output_paths(stage, unit)]}
        mine |= {partial(path) for path in mine}
        patterns = [entry.record, *entry.outputs.values()]
        own = [_matcher(pattern) for pattern in patterns]
        unfinished = [_matcher(str(partial(Path(pattern)))) for pattern in patterns]

        def ours(path: Path) -> bool:
            named = [match["unit"] for match in (matcher.fullmatch(str(path)) for matcher in own) if match]
            return any(unit in units or self._made(stage, unit, path) for unit in named) or any(
                matcher.fullmatch(str(path)) for matcher in unfinished
            )

        files = sorted(path.relative_to(self.root) for path in (self.root / folder).rglob("*") if not path.is_dir())
        left = [path for path in files if path not in mine and ours(path)]
        return sorted(left, key=lambda path: own[0].fullmatch(str(path)) is not None)  # stable: the records last

    def _made(self, stage: str, unit: str, path: Path) -> bool:
        """Whether a unit, which may be gone, has a record, and the file is this or one that it tells of."""
        record = self.record(stage, unit)
        if record is None or (record.stage, record.unit) != (stage, unit):
            return False
        return path == STAGES[stage].record_path(unit) or str(path) in record.outputs


def take(file: IO[str]) -> bool:
    """Lock an open file until it is closed, or the process ends; False where another has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _matcher(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(re.escape("{unit}"), "(?P<unit>.+)").replace(re.escape("{rank}"), r"\d+")
    return re.compile(escaped)


def _changed(kind: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        if before.get(key, _ABSENT) != now.get(key, _ABSENT):
            yield f"{kind}.{key if kind == 'params' else Path(key).name}"


_ABSENT = object()


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested values as dotted name to value."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        key: leaf
        for name, child in value.items()
        for key, leaf in leaves(child, f"{prefix}.{name}" if prefix else name).items()
    }


def here() -> Workspace:
    """The workspace in the current folder. Raises UserError when the code that runs is not this workspace's own."""
    root = Path.cwd()
    require_own_code(root)
    return Workspace(root)


def require_own_code(root: Path) -> None:
    """Raise UserError when the code that runs is not a workspace's own.

    A record holds the digests of the workspace's modules, so those must be the ones that run.
    """
    own, running = (root / "src/trueframe").resolve(), Path(__file__).resolve().parent
    if own != running and own.is_dir():
        raise UserError(f"{running}: this code is not the workspace's own; run with PYTHONPATH={root / 'src'}")
