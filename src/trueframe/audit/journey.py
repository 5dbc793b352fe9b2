"""The way of a video: what it became, which files hold something of it, and what each model did with it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trueframe import raw, tables, withdrawn
from trueframe.audit import runs, subject, withdrawal
from trueframe.audit.ledger import Ledger, Video
from trueframe.audit.past import Past, State
from trueframe.audit.snapshot import Node
from trueframe.audit.traces import UNUSED
from trueframe.audit.trail import Auditor, Problem
from trueframe.audit.withdrawal import Withdrawal
from trueframe.dag import STAGES
from trueframe.errors import UserError

_SHOWN = 10  # candidates that an error names
TESTED = "tested"
# By stage, the output that has rows of a video, and what they are.
_ROWS = {
    "bboxes": ("boxes", "box", "boxes"),
    "landmarks": ("points", "row", "rows"),
    "masks": ("table", "mask", "masks"),
    "predictions": ("scores", "score", "scores"),
}


@dataclass(frozen=True)
class Place:
    """Files of a unit that hold something of the video. number, what: so many crops, rows, …"""

    stage: str
    unit: str
    files: tuple[str, ...]
    number: int
    what: str


@dataclass(frozen=True)
class Part:
    """A model's part in it: trained, validated, tested or unused, and why; runs: of the model in MLflow."""

    seed: str
    role: str
    reason: str
    fold: int | None
    draws: int
    files: tuple[str, ...]
    runs: tuple[runs.Run, ...]


@dataclass(frozen=True)
class Journey:
    """The answer for one video.

    twins: other videos of the same content; fakes: made from it; places: files that hold something of it; row: its row
    of the submission's detail; dependents: stage to the number of units that depend on its part, holding it or not;
    withdrawal, past: of a withdrawn video, what now and what older commits have of it and of the fakes made from it, or
    may have; shallow: whether this clone lacks older ones.
    """

    video: Video
    twins: tuple[str, ...]
    fakes: tuple[str, ...]
    places: tuple[Place, ...]
    models: tuple[Part, ...]
    row: Mapping[str, str] | None
    dependents: Mapping[str, int]
    problems: tuple[Problem, ...]
    withdrawal: Withdrawal | None
    past: tuple[State, ...]
    shallow: bool


def find(auditor: Auditor, asked: str) -> list[Video]:
    """The videos that `asked` means: a file name, a part and a name, a path, a SHA-256 or its start, a file's content.

    Raises UserError where there is none.
    """
    videos = auditor.ledger.videos()
    name = asked.removeprefix(f"{raw.RAW}/")
    found = [video for video in videos if name in (video.video, video.name)]
    if not found and withdrawn.DIGEST.fullmatch(asked):
        found = [video for video in videos if video.sha256.startswith(asked)]
    if not found and (digest := subject.content(auditor.workspace.root, asked)):
        found = [video for video in videos if video.sha256 == digest]
    if not found:
        near = [video.name for video in videos if asked and asked in video.name][:_SHOWN]
        hint = f"; there are {', '.join(near)}" if near else ""
        raise UserError(
            f"{asked}: no index knows this video; expected a file name, <kind>/<part>/<name>, a SHA-256 or its first "
            f"8 digits at least{hint}"
        )
    return found


def follow(auditor: Auditor, video: Video) -> Journey:
    """What became of a video."""
    everywhere = auditor.ledger.videos()
    nodes = auditor.graph.below(("index", video.part))
    lines = withdrawal.lines_of(auditor, video)
    past = Past(auditor.workspace.root, lines) if lines else None
    counts: dict[str, int] = {}
    for stage, _ in nodes:
        counts[stage] = counts.get(stage, 0) + 1
    return Journey(
        video=video,
        twins=tuple(
            other.name for other in everywhere if other.sha256 == video.sha256 != "" and other.name != video.name
        ),
        fakes=tuple(fake.name for fake in _fakes(auditor.ledger, video)),
        places=tuple(_places(auditor, video, nodes)),
        models=tuple(_models(auditor, video)),
        row=_submission_row(auditor, video),
        dependents=counts,
        problems=tuple(auditor.problems(nodes)),
        withdrawal=withdrawal.of(auditor, lines) if lines else None,
        past=tuple(state for state in past.states if state.files or state.absent) if past else (),
        shallow=past is not None and past.shallow,
    )


def _fakes(ledger: Ledger, video: Video) -> Iterable[Video]:
    """The fakes made from a video: in its part, and in parts that have no file of its name."""
    if not video.part.startswith("train/"):
        return
    for part in ledger.parts:
        found = [other for other in ledger.part(part) if other.original == video.video and other.label == 1]
        if found and (part == video.part or not _has_file(ledger, part, video.video)):
            yield from found


def _has_file(ledger: Ledger, part: str, name: str) -> bool:
    return any(other.video == name and other.status != tables.MISSING_FILE for other in ledger.part(part))


def _places(auditor: Auditor, video: Video, nodes: Iterable[Node]) -> Iterable[Place]:
    file = f"{raw.RAW}/{video.name}"
    if (auditor.workspace.root / file).is_file():
        yield Place("raw", video.part, (file,), 1, "video")
    yield Place("index", video.part, (STAGES["index"].outputs["table"].format(unit=video.part),), 1, "row")
    for stage, unit in nodes:
        if stage == "crops" and unit == video.part and video.crops:
            number = video.crops
            yield Place(stage, unit, (STAGES[stage].outputs["archive"].format(unit=unit),), number, _s(number, "crop"))
        elif stage in _ROWS and unit.endswith(video.part):
            output, *names = _ROWS[stage]
            path = STAGES[stage].outputs[output].format(unit=unit)
            number = _rows(auditor, path, video)
            files = [str(file) for file in auditor.workspace.layout.output_paths(stage, unit)]
            if number:
                yield Place(stage, unit, tuple(files) if stage == "masks" else (path,), number, _s(number, *names))
        elif stage == "folds" and video.crops and video.part.startswith("train/") and video.label is not None:
            yield Place(stage, unit, (STAGES[stage].outputs["table"],), video.crops, _s(video.crops, "row"))


def _s(number: int, one: str, many: str | None = None) -> str:
    return one if number == 1 else many or f"{one}s"


def _rows(auditor: Auditor, path: str, video: Video) -> int:
    """How many rows of a table are of a video."""
    import pyarrow.compute as pc

    table = auditor.snapshot.table(path, ["video"])
    if table is None:
        return 0
    return int(pc.sum(pc.equal(table["video"], video.video)).as_py() or 0)


def _models(auditor: Auditor, video: Video) -> Iterable[Part]:
    for seed in auditor.ledger.seeds:
        record = auditor.snapshot.records["models", seed]
        known = runs.known(auditor.workspace.root, record)
        told = auditor.ledger.role(seed, video.part, video.video)
        files = tuple(path for path in record.outputs if path.endswith(".safetensors"))
        if told:
            yield Part(seed, told.role, told.reason, told.fold, told.draws, files, tuple(known))
            continue
        role, reason = _without_training(auditor, video, seed)
        yield Part(seed, role, reason, None, 0, files, tuple(known))


def _without_training(auditor: Auditor, video: Video, seed: str) -> tuple[str, str]:
    """The role of a video that the training had no crops of, and why."""
    if not video.usable:
        return UNUSED, f"{video.status}: {video.reason}"
    if not video.crops:
        return UNUSED, "it gave no crops"
    if video.part.startswith("train/"):
        return UNUSED, "its crops are in no fold" if video.label is None else "not in what the training wrote down"
    scored = ("predictions", f"{seed}/{video.part}") in auditor.snapshot.records
    return (TESTED, "") if scored else (UNUSED, "its part is not scored by this model")


def _submission_row(auditor: Auditor, video: Video) -> Mapping[str, str] | None:
    path = auditor.snapshot.locate(STAGES["submission"].outputs["detail"])
    if path is None or not video.part.startswith("test/"):
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows: Iterable[dict[str, Any]] = csv.DictReader(file)
        part = video.part.removeprefix("test/")
        return next((row for row in rows if (row["part"], row["filename"]) == (part, video.video)), None)
