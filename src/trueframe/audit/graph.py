"""The graph that the records hold: which unit read what of which, down to the raw videos."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from trueframe import raw
from trueframe.audit.snapshot import Node
from trueframe.dag import STAGES
from trueframe.records import Record

_ORDER = {stage: number for number, stage in enumerate(STAGES)}


class Graph:
    """Units and what they read, by their records alone."""

    def __init__(self, records: Mapping[Node, Record]) -> None:
        """`records`: by stage and unit."""
        self.records = records
        self.makers: dict[str, Node] = {path: node for node, record in records.items() for path in record.outputs}

    @cached_property
    def reads(self) -> dict[Node, tuple[Node, ...]]:
        """Unit to the units that it read from."""
        return {
            node: tuple(dict.fromkeys(self.makers[path] for path in record.recipe.inputs if path in self.makers))
            for node, record in self.records.items()
        }

    @cached_property
    def read_by(self) -> dict[Node, tuple[Node, ...]]:
        """Unit to the units that read from it."""
        found: dict[Node, list[Node]] = {node: [] for node in self.records}
        for node, sources in self.reads.items():
            for source in sources:
                found[source].append(node)
        return {node: tuple(readers) for node, readers in found.items()}

    def above(self, *nodes: Node) -> list[Node]:
        """These units and all that they come from, in the order of the DAG."""
        return _walk(nodes, lambda node: self.reads.get(node, ()))

    def below(self, *nodes: Node) -> list[Node]:
        """These units and all that depends on them, in the order of the DAG."""
        return _walk(nodes, lambda node: self.read_by.get(node, ()))

    def broken(self, node: Node) -> list[str]:
        """What a unit read and what can't be followed further, or is not what the unit read. Raw files are ends."""
        record = self.records.get(node)
        if record is None:
            return []
        return [
            f"{path}: {trouble}"
            for path, digest in record.recipe.inputs.items()
            if (trouble := self._trouble(path, digest))
        ]

    def _trouble(self, path: str, digest: str) -> str | None:
        maker = self.makers.get(path)
        if maker is not None:
            now = f"sha256:{self.records[maker].outputs[path].sha256}"
            return None if now == digest else "its record has another digest than was read"
        of_a_stage = not path.startswith(f"{raw.RAW}/") and digest.startswith("sha256:")
        return "no record says what made it" if of_a_stage else None


def _walk(starts: Iterable[Node], following: Callable[[Node], Iterable[Node]]) -> list[Node]:
    seen = dict.fromkeys(starts)
    queue = deque(seen)
    while queue:
        for node in following(queue.popleft()):
            if node not in seen:
                seen[node] = None
                queue.append(node)
    return sorted(seen, key=lambda node: (_ORDER[node[0]], node[1]))
