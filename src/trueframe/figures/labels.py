"""The labels of a test part's videos, which labels.csv in its folder may tell."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from trueframe.errors import UserError

LABELS = "labels.csv"
_HEADER = ["filename", "label"]


def read_labels(part: Path, names: set[str]) -> dict[str, int] | None:
    """Labels of a test part by filename, 0 real, 1 fake; None where its folder has no labels.csv.

    names: the part's files. Raises UserError with file, line and value for other columns than filename,label, for
    another label, a name that is not in the part, or one that comes twice.
    """
    path = part / LABELS
    labels: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != _HEADER:
                raise UserError(
                    f"{path}: line 1: {','.join(header)!r}: expected the columns {','.join(_HEADER)}; mend it"
                )
            for row in filter(None, reader):
                name, label = _labelled(row, names, labels, f"{path}: line {reader.line_num}")
                labels[name] = label
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected a text in UTF-8, found byte {error.object[error.start]:#x}; save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not a CSV: {error}; mend it") from error
    return labels


def _labelled(row: list[str], names: set[str], before: Mapping[str, int], where: str) -> tuple[str, int]:
    if len(row) != len(_HEADER):
        raise UserError(
            f"{where}: {','.join(row)!r}: expected {len(_HEADER)} values, filename and label; mend the line"
        )
    name, label = row
    if label not in ("0", "1"):
        raise UserError(f"{where}: label {label!r} of {name}: expected 0 (real) or 1 (fake); mend the line")
    if name not in names:
        raise UserError(f"{where}: {name!r}: expected the name of a file of this part; add the file or remove the line")
    if name in before:
        raise UserError(f"{where}: {name!r}: expected each name once, found it on an earlier line too; remove one")
    return name, int(label)
