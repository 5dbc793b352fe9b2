"""A difference as a person reads it: first how far the scores are apart and why, then all of it, by sections."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from trueframe.audit.comparison.edits import Module
from trueframe.audit.comparison.pending import Pending
from trueframe.audit.comparison.scores import Interval, Score
from trueframe.audit.comparison.tally import Change
from trueframe.audit.comparison.videos import Fate, VideoChange
from trueframe.audit.difference import Difference, Differences
from trueframe.audit.terminal import Page, count, listed, values
from trueframe.printable import printable

Row = tuple[str, str, str, str]  # what, on side A, on side B, of which units
_SHOWN, _NAMES_SHOWN, _UNITS_SHOWN, _DETAILED = 20, 3, 2, 3
# The figures that speak for all: of which set, and which; the first that is there.
_FIRST = (("test", "log_loss"), ("held_out", "log_loss"), ("validation", "val_figure"))
_SETS = {"test": "test videos", "held_out": "held-out videos", "validation": "validation"}
_LABELS = {0: "real", 1: "fake", None: "unknown"}
_NOTHING = "–"


def show(found: Difference) -> None:
    """Print a difference."""
    page = Page()
    page.title(_side(found, 0), f"→ {_side(found, 1)}")
    for line in headline(found):
        page.print(Text(printable(line)))
    if found.scores:
        page.section("Scores", _scores(found.scores))
    for title, content in _sections(found.reasons):
        page.section(title, content)
    for title, fates in (("What became of videos", found.fates), ("What the trainings did with videos", found.roles)):
        if fates:
            page.section(title, _table(("of", "A", "B", "videos"), map(_fate, fates)))
    if found.harmless:
        page.section("Differs, and left the bytes as they were", _table(("", "A", "B", "of"), _all(found.harmless)))
    for one in found.pending:
        page.section(f"Not run yet in {one.of}", _table(("what", "made with", "now", "of"), _pending(one)))
    if found.unexplained:
        page.section("Not explained", Text("\n".join(map(printable, _first(found.unexplained)))))


def headline(found: Difference) -> Iterator[str]:
    """How far the scores are apart, and why, at a glance."""
    for name, figure in _FIRST:
        scores = [score for score in found.scores if (score.of.partition(",")[0], score.figure) == (name, figure)]
        if scores:
            yield _sentence(scores[0])
            break
    if found.outputs:
        yield f"Files that differ: {listed([output.name for output in found.outputs], _NAMES_SHOWN)}."
    if not found.outputs:
        yield "The files are the same, byte for byte."
    elif not found.reasons:
        yield "No record tells why they differ."
    elif _only_seed(found.reasons) and not found.harmless:
        yield "Only the seed differs: the same videos, parameters, code and packages."
    else:
        causes = list(_causes(found.reasons))
        yield f"Because of {causes[0]}." if len(causes) == 1 else f"Because of one or more of: {', '.join(causes)}."
        if absent := _absent(found.reasons, found.harmless):
            yield f"{', '.join(f'no {name}' for name in absent).capitalize()} differs."
    if found.unexplained:
        yield "Not all of it is explained: see below."
    if found.harmless:
        yield f"Differs, and left the bytes as they were: {', '.join(_causes(found.harmless))}."


def _absent(*found: Differences) -> list[str]:
    """What a person would look for first, and none of which differs."""
    groups = {"video": "videos", "parameter": "params", "module": "modules", "package": "packages"}
    return [name for name, group in groups.items() if not any(getattr(one, group) for one in found)]


def _sentence(score: Score) -> str:
    text = f"{_figure(score)} of {_of(score)}: {_number(score.a)} → {_number(score.b)}"
    if score.a == score.b:
        return f"{text}, the same"
    change = _step(score)
    return f"{text}{change and f' ({change})'}{_interval_sentence(score)}"


def _interval_sentence(score: Score) -> str:
    """Whether the intervals have a value in common: a sign of how much may be chance, and no test of it."""
    if not score.interval_a or not score.interval_b:
        return ""
    verdict = "are apart" if score.apart else "overlap"
    return f"; the 95 % intervals {_interval(score.interval_a)} and {_interval(score.interval_b)} {verdict}"


def _only_seed(reasons: Differences) -> bool:
    others = {name: value for name, value in vars(reasons).items() if name != "units"}
    return not any(others.values()) and {(unit.name, unit.kind) for unit in reasons.units} == {("seed", "changed")}


def _causes(reasons: Differences) -> Iterator[str]:
    yield from _units_text(reasons.units)
    if reasons.params:
        yield count(len(reasons.params), "parameter") + _detail(reasons.params)
    if reasons.videos:
        kinds = Counter(video.kind for video in reasons.videos)
        yield ", ".join(f"{count(number, 'video')} {kind}" for kind, number in kinds.items()) + _names(reasons.videos)
    if reasons.files:
        yield count(len(reasons.files), "file") + _names(reasons.files)
    if reasons.modules:
        yield count(len(reasons.modules), "module") + _names(reasons.modules)
    if reasons.packages:
        yield count(len(reasons.packages), "package") + _detail(reasons.packages)
    if reasons.environment:
        yield "the environment" + _detail(reasons.environment)
    if reasons.reads:
        yield "what only one side reads" + _names(reasons.reads)


def _units_text(units: Iterable[Change]) -> Iterator[str]:
    """ "seed 111 → 555", "seeds 777, 888 only in A"."""
    alone: dict[tuple[str, str], list[str]] = {}
    for unit in units:
        if unit.kind == "changed":
            yield f"{unit.name} {unit.a} → {unit.b}"
        else:
            alone.setdefault((unit.name, "A" if unit.kind == "removed" else "B"), []).append(unit.a or unit.b)
    for (name, side), values_ in alone.items():
        yield f"{name}{'s' if len(values_) > 1 else ''} {listed(values_, _NAMES_SHOWN)} only in {side}"


def _detail(changes: Sequence[Change]) -> str:
    told = [f"{change.name} {_side_value(change, 'a')} → {_side_value(change, 'b')}" for change in changes[:_DETAILED]]
    return f" ({', '.join([*told, *(['…'] if len(changes) > _DETAILED else [])])})"


def _names(changes: Sequence[Change | Module | VideoChange]) -> str:
    return f" ({listed([change.name.removeprefix('src/trueframe/') for change in changes], _NAMES_SHOWN)})"


def _side(found: Difference, side: int) -> str:
    """ "models 111 of commit 557f50fe5f"."""
    units = [pair[side].removesuffix(" all") for pair in found.compared]
    return f"{listed(units, _NAMES_SHOWN)} of {(found.a, found.b)[side]}"


def _scores(scores: Sequence[Score]) -> Table:
    """Those that differ, and the first ones in any case."""
    table = Table("of", "figure", "A", "B", "change", "95 % of A", "95 % of B", "", box=None)
    for column in table.columns[2:5]:
        column.justify = "right"
    first = {figure for _, figure in _FIRST}
    for score in scores:
        if score.a != score.b or score.figure in first:
            intervals = [_interval(interval) for interval in (score.interval_a, score.interval_b)]
            verdict = {None: "", True: "apart", False: "overlap"}[score.apart]
            cells = (_of(score), _figure(score), _number(score.a), _number(score.b), _step(score), *intervals, verdict)
            table.add_row(*values(*cells))
    return table


def _of(score: Score) -> str:
    """ "test videos, seed 111 → 555"."""
    name, _, rest = score.of.partition(", ")
    return f"{_SETS[name]}{rest and ', ' + rest}"


def _figure(score: Score) -> str:
    return score.figure.removeprefix("val_").replace("_", " ")


def _step(score: Score) -> str:
    """By how much B is above A; empty where one is undefined."""
    if score.a is None or score.b is None:
        return ""
    step = score.b - score.a
    return f"{step:+d}" if isinstance(step, int) else f"{step:+.4f}"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f}–{interval[1]:.3f}"


def _sections(found: Differences) -> Iterator[tuple[str, Table]]:
    """Title and content of what there is to tell."""
    for title, last, rows in (
        ("Seeds and parts", "of", _rows(found.units)),
        ("Parameters", "of", _rows(found.params)),
        ("Videos", "", _videos(found.videos)),
        ("Files", "read by", _rows(found.files)),
        ("Modules", "of", _modules(found.modules)),
        ("Packages", "of", _rows(found.packages)),
        ("Environment", "of", _rows(found.environment)),
        ("Read by one side alone", "by", _rows(found.reads)),
    ):
        if rows:
            yield title, _table(("", "A", "B", last), rows)


def _all(found: Differences) -> list[Row]:
    changes = (*found.units, *found.params, *found.files, *found.packages, *found.environment, *found.reads)
    return [*_rows(changes), *_videos(found.videos), *_modules(found.modules)]


def _rows(changes: Iterable[Change]) -> list[Row]:
    return [(c.name, _side_value(c, "a"), _side_value(c, "b"), _units(c.units)) for c in changes]


def _videos(videos: Iterable[VideoChange]) -> list[Row]:
    return [(video.name, _facts(video.a), _facts(video.b), video.kind) for video in videos]


def _facts(facts: Mapping[str, Any]) -> str:
    shown = {name: _LABELS[value] if name == "label" else _value(value) for name, value in facts.items()}
    return ", ".join(value if name in ("name", "sha256") else f"{name} {value}" for name, value in shown.items())


def _modules(modules: Iterable[Module]) -> list[Row]:
    """A row per module, and one per commit that changed it."""
    rows: list[Row] = []
    for module in modules:
        stages = ", ".join(dict.fromkeys(unit.partition(" ")[0] for unit in module.units))
        a, b = (_NOTHING if digest is None else _value(digest) for digest in (module.a, module.b))
        rows.append((module.name, a, b, f"{stages}{module.note and '; ' + module.note}"))
        for edit in module.edits:
            undone = ", undone" if edit.undone else ""
            subject = f"{edit.subject[:60]}{'…' if len(edit.subject) > 60 else ''}"
            rows.append(("", "", "", f"{edit.sha[:10]} of {edit.day}, {subject}{undone}"))
    return rows


def _pending(pending: Pending) -> list[Row]:
    return _rows((*pending.params, *pending.modules))


def _fate(fate: Fate) -> Row:
    return fate.of, fate.a, fate.b, f"{len(fate.videos):,}: {listed(fate.videos, _NAMES_SHOWN)}"


def _table(titles: tuple[str, str, str, str], rows: Iterable[Row]) -> Table:
    """The first rows, and how many more there are."""
    table = Table(*titles, box=None)
    every = list(rows)
    for row in every[:_SHOWN]:
        table.add_row(*values(*row))
    if len(every) > _SHOWN:
        table.add_row(*values(f"and {len(every) - _SHOWN} more; --json has all", "", "", ""))
    return table


def _first(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - _SHOWN} more; --json has all"] if len(lines) > _SHOWN else []
    return [*lines[:_SHOWN], *more]


def _side_value(change: Change, side: str) -> str:
    absent = {"a": "added", "b": "removed"}[side]
    return _NOTHING if change.kind == absent else _value(getattr(change, side))


def _value(value: Any) -> str:
    """As params.yaml has it; of a digest the first ten digits."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    head, _, digest = value.rpartition(":")
    hexadecimal = len(digest) in (32, 64) and not set(digest) - set("0123456789abcdef")
    return f"{head}{head and ':'}{digest[:10]}" if hexadecimal else value


def _units(units: Sequence[str]) -> str:
    return listed(units, _UNITS_SHOWN)
