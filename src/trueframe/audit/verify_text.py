"""A verification as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from trueframe.audit.proof.findings import Checked, Finding, Report
from trueframe.audit.terminal import Page, bytes_text, count, values

_SHOWN = 20  # of one kind


def show(report: Report) -> None:
    """Print what was compared, what is wrong, and what to do."""
    page = Page()
    wrong = sum(finding.kind.wrong for finding in report.findings)
    page.title("verified", f"{count(wrong, 'thing')} wrong" if wrong else "every byte is as the records say")
    page.print(Text(_checked(report.checked)))
    for kind, group in groupby(report.findings, lambda finding: finding.kind):
        findings = list(group)
        more = f"and {len(findings) - _SHOWN} more; --json has all" if len(findings) > _SHOWN else ""
        page.section(
            f"{kind[0].upper()}{kind[1:]}{'' if kind.wrong else ' (told, not wrong)'}", _table(findings[:_SHOWN], more)
        )


def _checked(checked: Checked) -> str:
    counts = (
        count(checked.records, "record"),
        count(checked.links, "link"),
        count(checked.files, "file"),
        f"{count(checked.objects, 'object')} of DVC's cache",
    )
    return f"{', '.join(counts)}; {bytes_text(checked.size)} read"


def _table(findings: Sequence[Finding], more: str) -> Table:
    table = Table(box=None, show_header=False)
    for finding in findings:
        table.add_row(*values(finding.path))
        lines = Table(box=None, show_header=False, padding=(0, 1, 0, 3))
        for name, value in (("expected", finding.expected), ("found", finding.found), ("to do", finding.advice)):
            lines.add_row(*values(name, value))
        table.add_row(lines)
    if more:
        table.add_row(*values(more))
    return table
