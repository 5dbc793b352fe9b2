"""How a finished run went, in a few lines for the terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from trueframe.errors import UserError

_METRICS = Path("reports/evaluation/metrics.json")
_DETAILS = Path("reports/evaluation/details.json")
_SUBMISSION = Path("reports/submission.csv")
_DETAIL = Path("reports/submission_detail.csv")
_FIGURES = {"auc": "AUC", "log_loss": "log loss", "accuracy": "accuracy"}
# Title of each set, and which of its figures in details.json are those of metrics.json.
_SETS = {"held_out": ("held-out fold", "scored"), "test": ("test parts", "all")}
_UNDEFINED = "–"


def show(root: Path) -> None:
    """Print how good the ensemble and each model are, what became of the test files and where the submission is.

    root: the workspace. Text without colours where the output is no terminal. Raises UserError without the reports.
    """
    metrics, details = json.loads(_report(root, _METRICS)), json.loads(_report(root, _DETAILS))
    rows = list(csv.DictReader(io.StringIO(_report(root, _DETAIL), newline="")))
    table = Table("ensemble", box=None, pad_edge=False)
    for title, _ in _SETS.values():
        table.add_column(title, justify="right")
    for cells in _cells(metrics, details):
        table.add_row(*cells)
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=120, highlight=False)
    console.print(table)
    console.print()
    for line in (*_submission(rows), *_advice(details)):
        console.print(line, markup=False, soft_wrap=True)


def _report(root: Path, path: Path) -> str:
    try:
        return (root / path).read_bytes().decode()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: expected the reports of a finished run; run snakemake --cores all submission"
        ) from error


def _cells(metrics: Mapping[str, Any], details: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table's rows: the ensemble's figures, how many videos they are over, and each model's AUC."""
    ranges = {
        part: details[part].get(counted, {}).get("intervals", {}).get("ensemble", {})
        for part, (_, counted) in _SETS.items()
    }
    for name, title in _FIGURES.items():
        yield [title, *(_figure(metrics[part][name]) + _range(ranges[part].get(name)) for part in _SETS)]
    yield ["videos scored", *(f"{metrics[part]['scored']} of {metrics[part]['videos']}" for part in _SETS)]
    models = {part: details[part].get(counted, {}).get("seeds", {}) for part, (_, counted) in _SETS.items()}
    for seed in sorted(models["held_out"], key=int):
        yield [f"AUC of seed {seed}", *(_figure(models[part].get(seed, {}).get("auc")) for part in _SETS)]


def _figure(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.4f}"


def _range(interval: Mapping[str, float | None] | None) -> str:
    """A 95 % interval in brackets, where there is one."""
    if interval is None or interval["low"] is None:
        return ""
    return f" ({interval['low']:.2f}–{interval['high']:.2f})"


def _submission(rows: list[dict[str, str]]) -> Iterator[str]:
    """What became of the test parts' files, and where their scores are."""
    statuses = sorted(Counter(row["status"] for row in rows).items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{count} {status}" for status, count in statuses)
    yield f"test files:  {len(rows)}{f' ({told})' if told else ''}"
    yield f"submission:  {_SUBMISSION}, {sum(row['score'] != '' for row in rows)} scores; why each: {_DETAIL}"


def _advice(details: Mapping[str, Any]) -> Iterator[str]:
    """What the held-out fold says of the submission's parameters, where it says something."""
    rule, temperature = details["pooling"], details["temperature"]["temperature"]
    if rule["chosen"] and not rule["configured_is_chosen"]:
        yield f"pooling:     {rule['chosen']} has a lower log loss than {rule['configured']} on the held-out fold"
    if temperature is not None:
        yield f"temperature: {temperature:.3f} fits the held-out fold best; submission.temperature would apply it"
