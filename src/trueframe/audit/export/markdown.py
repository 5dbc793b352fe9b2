"""Markdown whose text is text: no name of a file can make a tag, a row or an image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from trueframe.printable import printable

_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
# What may begin markup wherever it stands; an underscore only where it does not join two words.
_SIGNS = re.compile(r"[\\`*\[\]|~$]|:(?=//)|(?<![^\W_])_|_(?![^\W_])")


def escaped(value: Any) -> str:
    """A value as text that shows as it is, inside a paragraph or a cell."""
    text = _SIGNS.sub(lambda sign: f"\\{sign[0]}", printable(str(value)))
    return re.sub("[<>&]", lambda sign: _ENTITIES[sign[0]], text)


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table, all cells escaped; a sentence where it has no rows. None: nothing is known."""
    lines = [[escaped("–" if cell is None else cell) for cell in row] for row in rows]
    if not lines:
        return "None."
    rule = ["---"] * len(heads)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([escaped(head) for head in heads], rule, *lines))


def code(lines: Iterable[str]) -> str:
    """Commands."""
    return "\n".join(["```console", *lines, "```"])
