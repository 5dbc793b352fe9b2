"""What differs in the recipes of two units, and in what they ran on."""

from __future__ import annotations

from collections.abc import Iterable

from trueframe.audit.comparison import scores
from trueframe.audit.comparison.pairs import Pair, Pairs, general, of_a_stage
from trueframe.audit.comparison.tally import Tally
from trueframe.audit.snapshot import Node, Snapshot
from trueframe.audit.trail import params_of
from trueframe.dag import STAGES

_DEVICES = ("device", "devices")  # of selection.json: what a training ran on


class Recipes:
    """The recipes of the units above two sides' compared ones."""

    def __init__(self, snapshots: tuple[Snapshot, Snapshot], pairs: Pairs, starts: Iterable[Pair]) -> None:
        """`starts`: the compared units."""
        self._snapshots, self._pairs = snapshots, pairs
        above = [graph.above(*(pair[side] for pair in starts)) for side, graph in enumerate(pairs.graphs)]
        self._names = [{name for node in nodes for name in names_of(node).items()} for nodes in above]

    def tally(self, pairs: Iterable[Pair]) -> Tally:
        """Count by pair, in the groups of difference.Differences, what differs in the units' own recipes.

        unit: seeds and parts; param; module; lock and environment; file: what was read from outside; read: what only
        one side reads of a stage. What both read of a stage with other bytes is told by that stage's own pair.
        """
        tally = Tally()
        for pair in pairs:
            a, b = self._pairs.records(pair)
            unit = named(pair)
            tally.compare("unit", names_of(pair[0]), names_of(pair[1]), unit)
            tally.compare("param", params_of(a), params_of(b), unit)
            tally.compare("module", a.recipe.code, b.recipe.code, unit)
            self._environment(tally, pair)
            for link in self._pairs.differing(pair):
                if link.a and link.b:
                    self._both(tally, pair, link.a, link.b)
                elif link.a:
                    self._one(tally, pair, 0, link.a)
                elif link.b:
                    self._one(tally, pair, 1, link.b)
        return tally

    def _environment(self, tally: Tally, pair: Pair) -> None:
        a, b = (dict(record.environment) for record in self._pairs.records(pair))
        before, now = ({"lock": told.pop("lock", "missing")} for told in (a, b))
        tally.compare("lock", before, now, named(pair))
        tally.compare("environment", a, b, named(pair))
        if pair[0][0] == "models":
            told = [scores.selection(snapshot, node) for snapshot, node in zip(self._snapshots, pair, strict=True)]
            both = [name for name in _DEVICES if name in told[0] and name in told[1]]
            before, now = ({name: one[name] for name in both} for one in told)
            tally.compare("environment", before, now, named(pair))

    def _both(self, tally: Tally, pair: Pair, a: str, b: str) -> None:
        if not of_a_stage(a):
            before, now = (record.recipe.inputs for record in self._pairs.records(pair))
            tally.add("file", a if a == b else f"{a} → {b}", "changed", before[a], now[b], named(pair))

    def _one(self, tally: Tally, pair: Pair, side: int, path: str) -> None:
        """What only one side reads, because the other has no such seed or part, or code that does not read it."""
        graph = self._pairs.graphs[side]
        maker = graph.makers.get(path)
        names = names_of(maker).items() if maker else ()
        lacking = [("unit", *name) for name in names if name not in self._names[1 - side]]
        if not of_a_stage(path):
            lacking = [("file", path, graph.records[pair[side]].recipe.inputs[path])]
        elif maker and not lacking:
            lacking = [("read", general(maker, path), general(maker, path))]
        for group, name, value in lacking:
            before, now = ({name: value} if side == holder else {} for holder in (0, 1))
            tally.compare(group, before, now, named(pair))


def names_of(node: Node) -> dict[str, str]:
    """The seed and the part that a unit is of."""
    stage, unit = node
    seed, _, part = unit.partition("/")
    match STAGES[stage].units:
        case "part" | "train part":
            return {"part": unit}
        case "seed":
            return {"seed": unit}
        case "seed and part":
            return {"seed": seed, "part": part}
        case _:
            return {}


def named(pair: Pair) -> str:
    """ "<stage> <unit>", of two units "<stage> <unit> → <unit>"."""
    (stage, a), (_, b) = pair
    return f"{stage} {a}" if a == b else f"{stage} {a} → {b}"
