"""How answers are printed: sections of plain text, as wide as the terminal or as long as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from trueframe.printable import printable

_NO_EDGE = 1 << 12  # characters: in a file or a pipe no line is folded


class Page:
    """What is printed to standard output, section by section."""

    def __init__(self) -> None:
        """Plain text where the output is no terminal."""
        terminal = sys.stdout.isatty()
        self._console = Console(highlight=False, width=None if terminal else _NO_EDGE)

    def title(self, name: str, what: str) -> None:
        """The first line."""
        self._console.print(Text.assemble((printable(name), "bold"), f"  {printable(what)}"))

    def section(self, title: str, content: RenderableType) -> None:
        """A heading and what stands under it."""
        self._console.print()
        self._console.print(Text(title, "bold"))
        self.print(content)

    def lines(self, title: str, lines: Iterable[str]) -> None:
        """A heading and many lines."""
        self._console.print()
        self._console.print(Text(title, "bold"))
        for line in lines:
            self._console.file.write(f"   {line}\n")

    def print(self, content: RenderableType) -> None:
        """Something, set in by two spaces."""
        with self._console.capture() as capture:
            self._console.print(Padding(content, (0, 0, 0, 2), expand=False))
        for line in capture.get().splitlines():
            self._console.out(line.rstrip(), highlight=False)


def columns(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Lines of a table of any length; rich takes a minute for 100,000 rows."""
    cells = [[printable(str(cell)) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def values(*cells: Any) -> list[Text]:
    """Cells of a table; no name in them can steer the terminal."""
    return [Text(printable("null" if cell is None else str(cell)), overflow="fold") for cell in cells]


def count(number: int, one: str, many: str | None = None) -> str:
    """ "1 part", "3 parts", "3,600,000 crops"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return printable(", ".join(names[:most]) + more)


def bytes_text(size: int) -> str:
    """ "3.4 MB", in powers of ten as disks are sold."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
