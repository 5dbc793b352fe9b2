"""How predictions are printed: as a table for people, as CSV or JSON for programs."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trueframe.files import canonical_json
from trueframe.predict import Prediction
from trueframe.printable import printable

FORMATS = ("table", "csv", "json")

_COLUMNS = [field.name for field in fields(Prediction)]
_NUMBERS = ("score", "frames", "faces")
_NO_EDGE = 1 << 20  # characters: no row is folded


def show(rows: Sequence[Prediction], form: str) -> None:
    """Print the rows in one of FORMATS, in UTF-8, without colours; of a name that is no UTF-8, escapes stand in."""
    text = {"table": _table, "csv": _csv, "json": _json}[form](rows)
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def _json(rows: Sequence[Prediction]) -> str:
    return canonical_json([asdict(row) for row in rows])


def _csv(rows: Sequence[Prediction]) -> str:
    """Tracks as "0:0.25 1:0.75". Texts are all quoted, since csv by itself would quote no bare CR."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    for row in rows:
        writer.writerow(asdict(row) | {"tracks": " ".join(f"{track.track}:{track.score!r}" for track in row.tracks)})
    return text.getvalue()


def _table(rows: Sequence[Prediction]) -> str:
    """A line per row, as long as it is; in a terminal they are folded to its width."""
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, overflow="fold", justify="right" if name in _NUMBERS else "left")
    for row in rows:
        score = "" if row.score is None else f"{row.score:.4f}"
        tracks = ", ".join(f"{track.track}: {track.score:.4f}" for track in row.tracks)
        cells = asdict(row) | {"score": score, "tracks": tracks}
        table.add_row(*(Text(printable(str(cells[name]))) for name in _COLUMNS))
    text = io.StringIO()
    width = Console().width if sys.stdout.isatty() else _NO_EDGE
    Console(file=text, width=width, color_system=None).print(table)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
