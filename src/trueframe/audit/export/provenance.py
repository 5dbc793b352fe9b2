"""W3C PROV of an artifact: the units above it as activities, their files as entities, their code as agents.

Source: PROV-DM (https://www.w3.org/TR/prov-dm/), written as PROV-JSON. What a unit was told, its parameters and its
recipe's digest, are attributes of its activity. Identifiers are quoted paths; prov:label has the name as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trueframe import raw
from trueframe.audit.export.source import Source, scalar
from trueframe.audit.snapshot import Node
from trueframe.audit.trail import params_of
from trueframe.files import canonical_json, sha256_text
from trueframe.records import Record

if TYPE_CHECKING:
    from prov.model import ProvAgent, ProvEntity

_SPACES = ("file", "raw", "unit", "code", "input", "tf")
_LABEL, _TYPE = "prov:label", "prov:type"
_DIGITS = 16  # of a digest, where nobody chose the values to make two alike


def text(source: Source, node: Node, videos: bool = False) -> str:
    """PROV-JSON of a unit and all that it comes from. videos: tell of each raw video too, as a member of its part.

    Raises UserError where a link between units does not hold.
    """
    return _Document(source, videos).of(source.above(node))


class _Document:
    def __init__(self, source: Source, videos: bool) -> None:
        from prov.model import ProvDocument

        self.source, self.videos = source, videos
        self.document = ProvDocument()
        self.space = {name: self.document.add_namespace(name, f"urn:trueframe:{name}:") for name in _SPACES}
        self._entities: dict[tuple[str, str], ProvEntity] = {}
        self._agents: dict[str, ProvAgent] = {}

    def of(self, nodes: Iterable[Node]) -> str:
        """The document of these units, as text on one line: indented, it takes twice the time."""
        for node in nodes:
            self._unit(node, self.source.records[node])
        return f"{self.document.serialize(format='json', ensure_ascii=False)}\n"

    def _unit(self, node: Node, record: Record) -> None:
        stage, unit = node
        told = {f"tf:{name}": scalar(value) for name, value in params_of(record).items()}
        told |= {f"tf:environment.{name}": value for name, value in record.environment.items()}
        told |= {_LABEL: f"{stage} {unit}", "tf:recipe": f"sha256:{record.recipe.digest}"}
        activity = self.document.activity(self.space["unit"][quote(f"{stage}/{unit}")], other_attributes=told)
        self.document.wasAssociatedWith(activity, self._agent(record))
        read = dict.fromkeys(self._read(path, digest) for path, digest in record.recipe.inputs.items())
        for key in read:
            self.document.used(activity, self._entities[key])
        for path, output in record.outputs.items():
            facts = {"tf:sha256": output.sha256, "tf:size": output.size, "tf:items": output.items}
            made = self._entities[self._entity("file", path, **facts)]
            self.document.wasGeneratedBy(made, activity)
            for key in read:
                self.document.wasDerivedFrom(made, self._entities[key], activity=activity)

    def _entity(self, space: str, name: str, **facts: Any) -> tuple[str, str]:
        """The key of an entity, which is made when it is first told of."""
        if (space, name) not in self._entities:
            told: dict[Any, Any] = {_LABEL: name} | facts
            self._entities[space, name] = self.document.entity(self.space[space][quote(name)], told)
        return space, name

    def _read(self, path: str, digest: str) -> tuple[str, str]:
        """What a unit read: an artifact, the raw files of a part, or something that no unit made."""
        if path in self.source.graph.makers:
            return "file", path
        if path.startswith(f"{raw.RAW}/"):
            return self._part("/".join(path.removeprefix(f"{raw.RAW}/").split("/")[:2]))
        return self._entity("input", f"{path} {digest}")

    def _part(self, unit: str) -> tuple[str, str]:
        """A part's raw files, a collection; with `videos`, of its videos."""
        from prov.model import PROV

        if ("raw", unit) not in self._entities:
            self._entity("raw", unit, **{_TYPE: PROV["Collection"]})
            for video in self.source.ledger.part(unit) if self.videos else ():
                facts = {"tf:sha256": video.sha256, "tf:size": video.size_bytes, "tf:status": video.status}
                facts |= {"tf:label": video.label} if video.label is not None else {}
                key = self._entity("raw", video.name, **facts)
                self.document.hadMember(self._entities["raw", unit], self._entities[key])
        return "raw", unit

    def _agent(self, record: Record) -> ProvAgent:
        """The code that made a unit, and the commit that holds it."""
        from prov.model import PROV

        key = f"{record.stage}/{sha256_text(canonical_json(record.recipe.code))[:_DIGITS]}"
        if key not in self._agents:
            told: dict[str, Any] = {f"tf:{path}": digest for path, digest in record.recipe.code.items()}
            told |= {_LABEL: f"trueframe {record.stage}", _TYPE: PROV["SoftwareAgent"]}
            told |= {"tf:commit": self.source.held(record).first or "none"}
            self._agents[key] = self.document.agent(self.space["code"][key], told)
        return self._agents[key]
