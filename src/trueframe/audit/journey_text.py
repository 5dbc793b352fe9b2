"""A video's way as a person reads it."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from trueframe.audit import withdrawal_text
from trueframe.audit.journey import Journey
from trueframe.audit.terminal import Page, bytes_text, count, listed, values
from trueframe.audit.trail_text import verdict
from trueframe.dag import STAGES

_NAMES_SHOWN = 10
_LABELS = {0: "real", 1: "fake", None: "unknown"}


def show(journey: Journey) -> None:
    """Print what became of a video."""
    video = journey.video
    page = Page()
    page.title(video.name, video.status)
    page.print(_about(journey))
    if journey.withdrawal:
        page.section("Withdrawn", withdrawal_text.members(journey.withdrawal))
        page.print(withdrawal_text.verdict(journey.withdrawal))
    page.section("What each model did with it", _models(journey))
    if journey.row is not None:
        page.section("Submission", _row(journey))
    page.section("Files that hold something of it", _places(journey))
    units = [count(journey.dependents[stage], f"unit of {stage}", f"units of {stage}") for stage in journey.dependents]
    page.section("Units that depend on its part, holding it or not", Text(listed(units, len(STAGES))))
    if journey.withdrawal:
        told = withdrawal_text.past(journey.past, journey.withdrawal.done, journey.shallow)
        page.section("Commits with something of it", told)
    page.section("Links", verdict(journey.problems, sum(journey.dependents.values())))


def _about(journey: Journey) -> Table:
    video = journey.video
    table = Table(box=None, show_header=False)
    table.add_row(*values("sha256", video.sha256 or "none: there is no file"))
    table.add_row(*values("size", f"{bytes_text(video.size_bytes)}, {count(video.frames, 'frame')}"))
    table.add_row(*values("label", _LABELS[video.label]))
    if video.original:
        table.add_row(*values("original", video.original))
    table.add_row(*values("status", f"{video.status}, by {video.stage}{': ' + video.reason if video.reason else ''}"))
    if journey.fakes:
        table.add_row(*values("fakes of it", listed(journey.fakes, _NAMES_SHOWN)))
    if journey.twins:
        table.add_row(*values("same content", listed(journey.twins, _NAMES_SHOWN)))
    return table


def _models(journey: Journey) -> Table:
    table = Table("seed", "role", "fold", "draws", "why", "MLflow run", box=None)
    for model in journey.models:
        fold = "–" if model.fold is None else model.fold
        run = model.runs[0].run_id if model.runs else "–"
        table.add_row(*values(model.seed, model.role, fold, model.draws, model.reason, run))
    return table


def _row(journey: Journey) -> Table:
    table = Table(box=None, show_header=False)
    for name, value in (journey.row or {}).items():
        table.add_row(*values(name, value or "–"))
    return table


def _places(journey: Journey) -> Table:
    table = Table("stage", "unit", "holds", "files", box=None)
    for place in journey.places:
        table.add_row(*values(place.stage, place.unit, f"{place.number} {place.what}", ", ".join(place.files)))
    return table
