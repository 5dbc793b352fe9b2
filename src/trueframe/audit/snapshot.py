"""A workspace as it is, or as it was at a commit: its records, its parameters, and where its artifacts' bytes lie."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trueframe import records
from trueframe.audit import git
from trueframe.audit.objects import LOCK, RAW_FILE, Objects, Tracked
from trueframe.dag import STAGES, Stage
from trueframe.errors import UserError
from trueframe.records import Record
from trueframe.workspace import PARAMS

if TYPE_CHECKING:
    import pyarrow as pa

Node = tuple[str, str]  # stage, unit


class Snapshot(ABC):
    """A workspace at one time. name: how it is called in what we print."""

    name: str

    @abstractmethod
    def text(self, path: Path) -> str | None:
        """A file that git versions, as text; None where there is none."""

    @abstractmethod
    def locate(self, path: Path | str) -> Path | None:
        """Where an artifact's bytes lie on this machine; None where they don't."""

    @abstractmethod
    def artifacts(self, folder: str) -> Iterable[str]:
        """Paths, relative to the workspace, of the files that lie or lay below a folder."""

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """params.yaml as it reads, unchecked: it may be of an older code. Empty where there is none.

        Raises UserError where it is no mapping of sections.
        """
        text = self.text(PARAMS)
        try:
            value = {} if text is None else yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"{PARAMS} of {self.name}: not YAML: {' '.join(str(error).split())}; mend it") from error
        if not isinstance(value, dict):
            raise UserError(f"{PARAMS} of {self.name}: expected sections, found {type(value).__name__}; mend it")
        return value

    @cached_property
    def records(self) -> dict[Node, Record]:
        """Every record that is there, by stage in the order of the DAG, then by unit."""
        found: dict[Node, Record] = {}
        for stage in STAGES.values():
            for unit, path in self._units(stage):
                place = self.locate(path)
                record = records.read(place) if place else None
                if record is not None and (record.stage, record.unit) == (stage.name, unit):
                    found[stage.name, unit] = record
        return found

    def _units(self, stage: Stage) -> list[tuple[str, str]]:
        """(unit, path of its record) of what looks like a stage's record."""
        folder, placeholder, suffix = stage.record.partition("{unit}")
        if not placeholder:
            return [("all", stage.record)]
        pattern = re.compile(re.escape(folder) + "(.+)" + re.escape(suffix))
        matches = (pattern.fullmatch(path) for path in self.artifacts(folder.rstrip("/")))
        return sorted((match[1], match[0]) for match in matches if match)

    def table(self, path: Path | str, columns: list[str] | None = None) -> pa.Table | None:
        """A parquet artifact, or some of its columns; None where it is not here. Raises UserError for no table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        place = self.locate(path)
        if place is None:
            return None
        try:
            file = pq.ParquetFile(place)  # read_table would import pandas
            lacking = sorted(set(columns or ()) - set(file.schema_arrow.names))
            if not lacking:
                return file.read(columns)
            why = f"no column {', '.join(lacking)}"
        except (pa.ArrowException, OSError, ValueError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError(
            f"{path} of {self.name}: expected a parquet table ({why}); "
            "`trueframe audit --verify` tells which files are not as their records say"
        )


class Folder(Snapshot):
    """A workspace as it lies in a folder."""

    def __init__(self, root: Path, name: str = "the working tree") -> None:
        """`root`: with params.yaml and the artifacts."""
        self.root, self.name = root, name

    def text(self, path: Path) -> str | None:
        """A file below the folder."""
        file = self.root / path
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None

    def locate(self, path: Path | str) -> Path | None:
        """The file itself."""
        place = self.root / path
        return place if place.is_file() else None

    def artifacts(self, folder: str) -> Iterable[str]:
        """Of the records alone, which are all that is asked for."""
        base = self.root / folder
        return (str(path.relative_to(self.root)) for path in base.rglob("*.json"))


class Commit(Snapshot):
    """A workspace as it was at a commit: by git, and by DVC's cache as far as that has the artifacts."""

    def __init__(self, root: Path, revision: str, objects: Objects | None = None) -> None:
        """`root`: the repository; revision: whatever git takes for a commit. Raises UserError where git knows none."""
        self.root = root
        self.sha = git.commit(root, revision)
        self.name = f"commit {self.sha[:10]}"
        self.objects = objects or Objects(root)

    def text(self, path: Path) -> str | None:
        """As git has it at the commit."""
        return git.show(self.root, self.sha, path)

    @cached_property
    def tracked(self) -> Tracked:
        """What DVC tracked."""
        return self.objects.tracked(self.text(LOCK), self.text(RAW_FILE))

    def locate(self, path: Path | str) -> Path | None:
        """Its object in DVC's cache."""
        md5 = self.tracked.files.get(str(path))
        place = self.objects.place(md5) if md5 else None
        return place if place and place.is_file() else None

    def artifacts(self, folder: str) -> Iterable[str]:
        """As DVC's lock and its lists have them."""
        return (path for path in self.tracked.files if path.startswith(f"{folder}/"))
