"""Entities of an RO-Crate: each is added once, by its name, and spoken of by a reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trueframe.audit.export.source import scalar
from trueframe.errors import UserError
from trueframe.files import canonical_json, sha256_file, sha256_text

CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"  # has the term sha256
_PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_FORMATS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".lock": "text/plain",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".yaml": "application/yaml",
    ".zip": "application/zip",
}
_DIGITS = 16  # of a digest, where nobody chose the values to make two alike
Ref = dict[str, str]  # {"@id": …}


def ref(name: str) -> Ref:
    """An entity, spoken of."""
    return {"@id": name}


def file_ref(path: str) -> Ref:
    """A file of the crate's, spoken of: as rocrate names it."""
    return ref(quote(path))


def parameter_uri(name: str, kind: str = "Text") -> str:
    """The name of a formal parameter: models.weights is a parameter, and an output."""
    return f"#{'files' if kind in ('File', 'Dataset') else 'parameter'}/{quote(name)}"


def _alone(value: Any) -> Any:
    """A list of one is written as that one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class Entities:
    """What a crate tells of."""

    def __init__(self, root: Path) -> None:
        """`root`: the crate's folder."""
        from rocrate.rocrate import ROCrate

        self._root = root
        self._crate = ROCrate(version="1.1")
        self._crate.metadata.extra_contexts.append(CONTEXT)

    def dataset(self, **properties: Any) -> None:
        """What the crate says of itself."""
        for name, value in properties.items():
            self._crate.root_dataset[name] = value

    def described(self) -> Mapping[str, Any]:
        """All of it, as JSON-LD."""
        found: dict[str, Any] = self._crate.metadata.generate()
        return found

    def add(self, uri: str, kind: str, /, **properties: Any) -> Ref:
        """An entity that is no file of the crate's. A property that is None is left out.

        uri: of the web, or "#…" with all quoted that a URI must not have.
        """
        from rocrate.model import ContextEntity

        if self._crate.get(uri) is None:
            known = {key: _alone(value) for key, value in properties.items() if value is not None}
            self._crate.add(ContextEntity(self._crate, uri, {"@type": kind, **known}))
        return ref(uri)

    def file(self, path: str, sha256: str, size: int, /, **properties: Any) -> Ref:
        """A file of the crate's. Raises UserError where it is not here as it should be."""
        self._crate.add_file(self._root / path, path, properties=self._facts(path, sha256, size) | properties)
        return file_ref(path)

    def versioned(self, path: Path | str) -> Ref:
        """A file that no record tells of, as it is; none where it is not here."""
        place = self._root / path
        return self.file(str(path), sha256_file(place), place.stat().st_size)

    def workflow(self, path: Path, /, **properties: Any) -> Ref:
        """The main workflow of the crate, one of Snakemake's."""
        place = self._root / path
        known = self._facts(str(path), sha256_file(place), place.stat().st_size)
        kinds = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
        known |= {"@type": kinds, "encodingFormat": "text/plain"} | properties
        self._crate.add_workflow(place, str(path), main=True, lang="snakemake", properties=known)
        return file_ref(str(path))

    def _facts(self, path: str, sha256: str, size: int) -> dict[str, Any]:
        place = self._root / path
        if not place.is_file() or place.stat().st_size != size:
            raise UserError(
                f"{path}: expected it here with {size} bytes, for it is in the crate; run `dvc checkout` or `dvc pull`"
            )
        kind = _FORMATS.get(place.suffix, "application/octet-stream")
        return {"name": path, "sha256": sha256, "contentSize": str(size), "encodingFormat": kind}

    def parameter(self, name: str, kind: str) -> Ref:
        """What a workflow is given or gives: kind is File, Dataset, Text, Number or Boolean."""
        profile = self.add(_PARAMETER, "CreativeWork", name="FormalParameter", version="1.0-RELEASE")
        uri = parameter_uri(name, kind)
        return self.add(uri, "FormalParameter", name=name, additionalType=kind, conformsTo=profile)

    def value(self, name: str, value: Any) -> Ref:
        """A parameter with its value."""
        shown = scalar(value)
        kind = {bool: "Boolean", str: "Text"}.get(type(shown), "Number")
        uri = f"#value/{quote(name)}/{sha256_text(canonical_json(value))[:_DIGITS]}"
        parameter = self.parameter(name, kind)
        return self.add(uri, "PropertyValue", name=name, value=shown, exampleOfWork=parameter)
