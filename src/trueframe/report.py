"""What a person reads in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from trueframe.dag import STAGES
from trueframe.workspace import Workspace

_REASONS_SHOWN = 4


def status(workspace: Workspace) -> None:
    """Print stage × fresh and stale units, with the reasons. Plain text where the output is no terminal."""
    stale = workspace.stale_units()
    table = Table("stage", "units", "fresh", "stale", "why")
    for stage in STAGES:
        units = workspace.layout.units(stage)
        reasons = {unit: stale[stage, unit] for unit in units if (stage, unit) in stale}
        left = workspace.orphans(stage)
        why = dict.fromkeys(reason for found in reasons.values() for reason in found)
        lines = [*_shortened(list(why)), *([f"{len(left)} files of removed units"] if left else [])]
        table.add_row(stage, *map(str, (len(units), len(units) - len(reasons), len(reasons))), "\n".join(lines))
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(table)
    if not workspace.has_raw:
        console.print("data/raw is not here: the index is taken as its records have it.")


def _shortened(reasons: list[str]) -> list[str]:
    shown = reasons[:_REASONS_SHOWN]
    return shown if len(reasons) <= _REASONS_SHOWN else [*shown, f"and {len(reasons) - _REASONS_SHOWN} more"]


def counter(title: str) -> Callable[[int, int, str], None]:
    """A function that tells how far a job is: (done, total, what is being made)."""

    def tell(done: int, total: int, what: str) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{title}: {done}/{total} {what:<40.40}", end=end, file=sys.stderr, flush=True)
        elif done == total or done % 10 == 0:
            print(f"{title}: {done}/{total} {what}", file=sys.stderr, flush=True)

    return tell
