"""The scores of two sides beside each other, with their intervals where the evaluation has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trueframe.audit.comparison.pairs import Pair
from trueframe.audit.graph import Graph
from trueframe.audit.snapshot import Node, Snapshot
from trueframe.dag import ONE, STAGES
from trueframe.errors import UserError

EVALUATION: Node = ("evaluation", ONE)
# Set to which of its tables in details.json has the figures of metrics.json.
SETS = {"test": "all", "held_out": "scored"}
_VALIDATION = ("val_figure", "val_log_loss", "val_fake_log_loss", "val_real_log_loss", "epoch")
# Of metrics.json: ends of an interval, which details.json has too.
_LEFT_OUT = ("log_loss_low", "log_loss_high")
Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """A figure on both sides; None where a side has none.

    of: test or held_out, of the ensemble; "test, seed 111"; "validation, seed 111", or "… 111 → 555" of two seeds.
    interval_a, interval_b: 95 %, low and high; apart: whether they have no value in common, None without both.
    """

    of: str
    figure: str
    a: float | None
    b: float | None
    interval_a: Interval | None = None
    interval_b: Interval | None = None
    apart: bool | None = None


def ensemble(a: Snapshot, b: Snapshot) -> Iterator[Score]:
    """The figures of metrics.json, of test videos first."""
    metrics = [_json(snapshot, "metrics") for snapshot in (a, b)]
    details = [_json(snapshot, "details") for snapshot in (a, b)]
    for name, table in SETS.items():
        before, now = (told.get(name, {}) for told in metrics)
        intervals = [_at(told, name, table, "intervals", "ensemble") for told in details]
        for figure in sorted((before.keys() | now.keys()) - set(_LEFT_OUT)):
            yield _score(name, figure, (before.get(figure), now.get(figure)), intervals)


def seeds(snapshot: Snapshot, graph: Graph, pair: Pair) -> Iterator[Score]:
    """The figures of two models of one snapshot, by its evaluation; nothing where that is of other models."""
    nodes = graph.above(EVALUATION)
    if EVALUATION not in graph.records or not {*pair} <= {*nodes} or any(graph.broken(node) for node in nodes):
        return
    details = _json(snapshot, "details")
    units = [unit for _, unit in pair]
    for name, table in SETS.items():
        told = [_at(details, name, table, "seeds", unit) for unit in units]
        intervals = [_at(details, name, table, "intervals", "seeds", unit) for unit in units]
        for figure in sorted(told[0].keys() & told[1].keys()):
            values = (told[0][figure], told[1][figure])
            yield _score(f"{name}, seed {units[0]} → {units[1]}", figure, values, intervals)


def validation(a: Snapshot, b: Snapshot, pair: Pair) -> Iterator[Score]:
    """The figures of two models' best kept epochs, by selection.json, and which epochs were kept."""
    kept = [_kept(selection(snapshot, node)) for snapshot, node in zip((a, b), pair, strict=True)]
    of = f"validation, seed {' → '.join(dict.fromkeys(unit for _, unit in pair))}"
    for figure in dict.fromkeys((*kept[0], *kept[1])):
        yield _score(of, figure, (kept[0].get(figure), kept[1].get(figure)), ({}, {}))


def selection(snapshot: Snapshot, node: Node) -> Mapping[str, Any]:
    """A model's selection.json; empty where its bytes are not here."""
    return _read(snapshot, STAGES["models"].outputs["selection"].format(unit=node[1]))


def _kept(told: Mapping[str, Any]) -> dict[str, Any]:
    ranks = {one["rank"]: one for one in told.get("kept", [])}
    best = ranks.get(1, {})
    others = {f"epoch of rank {rank}": ranks[rank]["epoch"] for rank in sorted(ranks) if rank > 1}
    return {figure: best[figure] for figure in _VALIDATION if figure in best} | others


def _score(of: str, figure: str, values: tuple[Any, Any], intervals: Any) -> Score:
    a, b = (_interval(told.get(figure)) for told in intervals)
    apart = (a[1] < b[0] or b[1] < a[0]) if a and b else None
    return Score(of, figure, *values, a, b, apart)


def _interval(told: Any) -> Interval | None:
    return (told["low"], told["high"]) if told and told.get("low") is not None else None


def _at(told: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        told = told.get(name) or {}
    return told


def _json(snapshot: Snapshot, output: str) -> Mapping[str, Any]:
    return _read(snapshot, STAGES["evaluation"].outputs[output])


def _read(snapshot: Snapshot, path: str) -> Mapping[str, Any]:
    place = snapshot.locate(path)
    if place is None:
        return {}
    try:
        told = json.loads(place.read_bytes())
    except ValueError as error:
        raise UserError(
            f"{path} of {snapshot.name}: not JSON: {error}; `trueframe audit --verify` tells more"
        ) from error
    return told if isinstance(told, dict) else {}
