"""Differences, each counted once, with the units that have it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["changed", "added", "removed"]


@dataclass(frozen=True)
class Change:
    """A difference. a, b: on each side; None also where the side has nothing: then kind is added or removed.

    units: "<stage> <unit>", those that have it.
    """

    name: str
    kind: Kind
    a: Any
    b: Any
    units: tuple[str, ...] = ()


class Tally:
    """Differences by group and name. The same one of several units is one."""

    def __init__(self) -> None:
        """Nothing differs."""
        self._found: dict[tuple[str, str, str], tuple[Kind, Any, Any, dict[str, None]]] = {}

    def add(self, group: str, name: str, kind: Kind, a: Any, b: Any, unit: str) -> None:
        """Count one."""
        entry = self._found.setdefault((group, name, repr((kind, a, b))), (kind, a, b, {}))
        entry[3][unit] = None

    def compare(self, group: str, a: Mapping[str, Any], b: Mapping[str, Any], unit: str) -> None:
        """Count the keys that only one has or that have two values."""
        for name in sorted(a.keys() | b.keys()):
            if name not in b:
                self.add(group, name, "removed", a[name], None, unit)
            elif name not in a:
                self.add(group, name, "added", None, b[name], unit)
            elif a[name] != b[name]:
                self.add(group, name, "changed", a[name], b[name], unit)

    def changes(self, group: str, but: Tally | None = None) -> tuple[Change, ...]:
        """Those of a group by name, without those that `but` has too."""
        known: Container[tuple[str, str, str]] = but._found if but else ()
        return tuple(self._changes(group, known))

    def _changes(self, group: str, known: Container[tuple[str, str, str]]) -> Iterator[Change]:
        for key in sorted(self._found):
            if key[0] == group and key not in known:
                kind, a, b, units = self._found[key]
                yield Change(key[1], kind, a, b, tuple(units))

    def units(self) -> set[str]:
        """Units that differ in something."""
        return {unit for *_, units in self._found.values() for unit in units}
