"""Two graphs side by side: which unit of one answers to which of the other, and through what their bytes differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from trueframe import raw
from trueframe.audit.graph import Graph
from trueframe.audit.snapshot import Node
from trueframe.dag import STAGES, Input
from trueframe.records import Record

Pair = tuple[Node, Node]


@dataclass(frozen=True)
class Link:
    """What a pair's units read: its path for each, None for the one that does not read it."""

    a: str | None
    b: str | None


class Pairs:
    """The units of two graphs, matched from chosen ones upward. Units of two names may be a pair, as two seeds are."""

    def __init__(self, a: Graph, b: Graph) -> None:
        """`a`, `b`: may be the same graph."""
        self.graphs = a, b

    def records(self, pair: Pair) -> tuple[Record, Record]:
        """The records of a pair. Raises KeyError where a side has none; pairs that `walk` finds have both."""
        return self.graphs[0].records[pair[0]], self.graphs[1].records[pair[1]]

    def outputs(self, pair: Pair) -> dict[str, tuple[str | None, str | None]]:
        """Outputs whose bytes differ: path, with `*` for two names, to the SHA-256 of each side, None for no file."""
        a, b = (
            {
                general(node, path) if pair[0] != pair[1] else path: output.sha256
                for path, output in record.outputs.items()
            }
            for node, record in zip(pair, self.records(pair), strict=True)
        )
        return {name: (a.get(name), b.get(name)) for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)}

    def differing(self, pair: Pair) -> list[Link]:
        """What the units read with other bytes, and what only one of them reads."""
        a, b = (record.recipe.inputs for record in self.records(pair))
        return [link for link in self._links(pair) if link.a is None or link.b is None or a[link.a] != b[link.b]]

    def unmade(self, pair: Pair, link: Link) -> list[tuple[int, str]]:
        """(side, 0 or 1, and path) of what a stage made and no record here has as the unit read it."""
        read = ((0, link.a), (1, link.b))
        return [(side, path) for side, path in read if path and of_a_stage(path) and not self._maker(side, pair, path)]

    def walk(self, starts: list[Pair], everything: bool) -> list[Pair]:
        """The pairs and all above them; without `everything` only along what was read with other bytes."""
        found = dict.fromkeys(starts)
        queue = list(found)
        for pair in queue:
            for link in self._links(pair) if everything else self.differing(pair):
                makers = [self._maker(side, pair, path) for side, path in ((0, link.a), (1, link.b)) if path]
                match makers:
                    case [(_, _) as a, (_, _) as b] if (a, b) not in found:
                        found[a, b] = None
                        queue.append((a, b))
        return list(found)

    def _links(self, pair: Pair) -> list[Link]:
        """What the units read; of a unit paired with itself nothing, since nothing in it or above it differs."""
        if pair[0] == pair[1] and self.graphs[0] is self.graphs[1]:
            return []
        a, b = (record.recipe.inputs for record in self.records(pair))
        if pair[0] == pair[1]:
            names = dict.fromkeys((*a, *b))
            return [Link(name if name in a else None, name if name in b else None) for name in names]
        keys_a, keys_b = ({_input(node, path): path for path in read} for node, read in zip(pair, (a, b), strict=True))
        return [Link(keys_a.get(key), keys_b.get(key)) for key in dict.fromkeys((*keys_a, *keys_b))]

    def _maker(self, side: int, pair: Pair, path: str) -> Node | None:
        """Which unit made what a unit read; None where no record here tells of the bytes that were read."""
        graph = self.graphs[side]
        maker = graph.makers.get(path)
        read = graph.records[pair[side]].recipe.inputs[path]
        return maker if maker and read == f"sha256:{graph.records[maker].outputs[path].sha256}" else None


def of_a_stage(path: str) -> bool:
    """Whether a path is one of those where stages put what they make."""
    return path.startswith(_places())


@cache
def _places() -> tuple[str, ...]:
    return tuple({path.partition("{")[0] for stage in STAGES.values() for path in stage.outputs.values()})


def general(node: Node, path: str) -> str:
    """A path among a unit's outputs with `*` for the unit."""
    patterns = STAGES[node[0]].outputs.values()
    return next((name for pattern in patterns if (name := _general(pattern, node[1], path))), path)


def _input(node: Node, path: str) -> str:
    """An input's path with `*` for the unit's own name, seed or part."""
    stage, unit = node
    for item in STAGES[stage].inputs:
        own = _own(item, unit)
        if own and (name := _general(STAGES[item.stage].outputs[item.output], own, path)):
            return name
    return path.replace(f"{raw.RAW}/{unit}/", f"{raw.RAW}/*/", 1)


def _own(item: Input, unit: str) -> str | None:
    """The one unit that a unit reads through an input because of its own name."""
    seed, _, part = unit.partition("/")
    return {"same": unit, "seed": seed, "part": part}.get(item.which)


def _general(pattern: str, unit: str, path: str) -> str | None:
    """The path with `*` for the unit, where it is one of the pattern's."""
    head, ranked, tail = pattern.format(unit=unit, rank="\0").partition("\0")
    if not ranked:
        return pattern.format(unit="*") if path == head else None
    rank = path.removeprefix(head).removesuffix(tail)
    return pattern.format(unit="*", rank=rank) if rank.isdigit() and path == f"{head}{rank}{tail}" else None
