"""Runs things side by side: in turn, several times, so that a busy machine slows them all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

ROUNDS = 5


@dataclass(frozen=True)
class Comparison:
    """Median seconds of ours and of the reference, and the median of the rounds' ratios of the reference's to ours.

    at_least: the ratio that is promised, None where none is.
    """

    what: str
    ours_s: float
    reference_s: float
    times_faster: float
    at_least: float | None = None

    def values(self) -> dict[str, Any]:
        """Itself as plain values, for results.json."""
        return asdict(self)


def alternating(actions: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of each action in each round, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if number:
                taken[name].append(time.perf_counter() - start)
    return taken


def compare(
    what: str,
    ours: Callable[[], object],
    reference: Callable[[], object],
    at_least: float | None = None,
    rounds: int = ROUNDS,
) -> Comparison:
    """Ours beside the plain use of the public library."""
    taken = alternating({"ours": ours, "reference": reference}, rounds)
    ratios = [theirs / own for own, theirs in zip(taken["ours"], taken["reference"], strict=True)]
    medians = (statistics.median(taken[name]) for name in ("ours", "reference"))
    return Comparison(what, *medians, statistics.median(ratios), at_least)
