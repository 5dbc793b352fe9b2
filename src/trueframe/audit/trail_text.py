"""A trail as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from trueframe.audit.code import Held
from trueframe.audit.ledger import Role, Video
from trueframe.audit.terminal import Page, bytes_text, columns, count, listed, values
from trueframe.audit.trail import TRACKED, Problem, Step, Trail, Variant
from trueframe.dag import ONE, STAGES

# What the rows or images of a stage's main output are.
_ITEMS = {
    "index": ("table", "video"),
    "bboxes": ("boxes", "box", "boxes"),
    "crops": ("archive", "crop"),
    "landmarks": ("points", "crop of a real video", "crops of real videos"),
    "masks": ("archive", "mask"),
    "folds": ("table", "crop"),
    "models": ("weights", "file of weights", "files of weights"),
    "predictions": ("scores", "score"),
    "submission": ("table", "scored video"),
}
_PARTS_SHOWN, _UNITS_SHOWN, _PROBLEMS_SHOWN = 12, 6, 20
_LABELS = {0: "real", 1: "fake", None: "–"}


def show(trail: Trail, videos: Sequence[Video] | None, roles: Mapping[str, Mapping[tuple[str, str], Role]]) -> None:
    """Print a trail; with `videos` each of them too, with its role by seed."""
    page = Page()
    page.title(trail.path or trail.asked, " ".join((trail.stage, *([trail.unit] if trail.unit != ONE else []))))
    page.print(_outputs(trail))
    if trail.crop:
        page.section("The crop", _crop(trail.crop))
    page.section("It came from", _tree(trail))
    page.section("Videos", _parts(trail))
    if trail.left_out:
        page.section("Left out", _left_out(trail))
    if trail.folds:
        page.section("Folds", _folds(trail))
    page.section("Code and environment", _code(trail.steps))
    if any(step.stage in TRACKED for step in trail.steps):
        page.section("MLflow", _runs(trail))
    page.section("Parameters that mattered", _params(trail.steps))
    if videos is not None:
        heads = ("video", "sha256", "label", "status", "crops", *(f"seed {seed}" for seed in roles))
        page.lines("Every video", columns(heads, _videos(videos, roles)))
    page.section("Links", verdict(trail.problems, sum(len(step.units) for step in trail.steps)))


def verdict(problems: Sequence[Problem], units: int) -> Text:
    """Whether every link is there and fresh, and if not, which is not and why."""
    if not problems:
        return Text(f"all there and fresh, over {count(units, 'unit')}")
    lines = [f"{len(problems)} of {count(units, 'unit')} with a link that is missing or stale:"]
    for problem in problems[:_PROBLEMS_SHOWN]:
        lines.append(f"  {problem.stage} {problem.unit}: {listed(problem.reasons, 4)}")
    if len(problems) > _PROBLEMS_SHOWN:
        lines.append(f"  and {len(problems) - _PROBLEMS_SHOWN} more; --json has all")
    return Text("\n".join(lines))


def _videos(
    videos: Sequence[Video], roles: Mapping[str, Mapping[tuple[str, str], Role]]
) -> Iterator[tuple[str | int, ...]]:
    """A row per video: what it is, what became of it, and its role in each training."""
    for video in videos:
        told = [_role(roles[seed].get((video.part, video.video))) for seed in roles]
        crops = "–" if video.crops is None else video.crops
        yield (video.name, video.sha256, _LABELS[video.label], _status(video), crops, *told)


def _role(role: Role | None) -> str:
    if role is None:
        return "–"
    drawn = f" {role.draws}×" if role.role == "trained" else ""
    return f"{role.role}{drawn}, fold {role.fold}"


def _status(video: Video) -> str:
    return video.status if video.usable else f"{video.status} ({video.stage})"


def _outputs(trail: Trail) -> Table:
    table = Table("file", "size", "sha256", box=None, show_header=False)
    for path, output in trail.outputs.items():
        if trail.path in (None, path):
            table.add_row(*values(path, bytes_text(output["size"]), output["sha256"]))
    return table


def _crop(crop: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_row(*values("member", f"{crop['member']}, {bytes_text(crop['size'])}"))
    table.add_row(*values("sha256", crop["sha256"]))
    table.add_row(*values("of the video", f"{crop['part']}/{crop['video']}, sha256 {crop['sha256_of_video'] or '?'}"))
    box = crop["box"]
    if box:
        corners = ", ".join(f"{box[side]:.1f}" for side in ("x0", "y0", "x1", "y1"))
        found = f"frame {crop['frame']}, track {crop['track']}: box {corners} px, score {box['score']:.4f}"
        table.add_row(*values("face", f"{found}, found in {box['video']}"))
    for seed, role in crop["roles"].items():
        table.add_row(*values(f"seed {seed}", _role(role)))
    return table


def _tree(trail: Trail) -> Tree:
    steps = {step.stage: step for step in trail.steps}
    tree = Tree(Text(_step(steps[trail.stage])) if trail.stage in steps else Text(f"{trail.stage}: no record"))
    shown: set[str] = set()

    def grow(branch: Tree, stage: str) -> None:
        if stage == "index":
            files = sum(part.raw_files for part in trail.parts)
            branch.add(Text(f"data/raw  {count(len(trail.parts), 'part')}, {count(files, 'file')}"))
        for name in _nearest(steps, stage):
            again = name in shown
            shown.add(name)
            child = branch.add(Text(f"{name}, as above" if again else _step(steps[name])))
            if not again:
                grow(child, name)

    if trail.stage in steps:
        grow(tree, trail.stage)
    return tree


def _nearest(steps: Mapping[str, Step], stage: str) -> list[str]:
    """What a stage reads and does not also reach through another stage that it reads: the tree stays a tree."""
    reads = [name for name in steps[stage].reads if name in steps]
    further = {far for near in reads for far in _reached(steps, near)}
    return [name for name in reads if name not in further]


def _reached(steps: Mapping[str, Step], stage: str) -> set[str]:
    direct = {name for name in steps[stage].reads if name in steps}
    return direct.union(*(_reached(steps, name) for name in direct))


def _step(step: Step) -> str:
    output, *names = _ITEMS.get(step.stage, ("", ""))
    items = f", {count(step.items[output], *names)}" if output in step.items else ""
    kind = {"part": "part", "train part": "part", "seed": "seed", "seed and part": "unit"}.get(STAGES[step.stage].units)
    if kind is None:
        return f"{step.stage}{items and '  ' + items[2:]}"
    named = f" ({', '.join(step.units)})" if len(step.units) <= _UNITS_SHOWN and kind != "unit" else ""
    return f"{step.stage}  {count(len(step.units), kind)}{named}{items}"


def _parts(trail: Trail) -> Table:
    table = Table("part", "videos", "usable", "crops", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    shown = trail.parts if len(trail.parts) <= _PARTS_SHOWN else ()
    for part in shown:
        table.add_row(*values(part.part, part.videos, part.usable, part.crops))
    if len(trail.parts) != 1:
        sums = [sum(getattr(part, name) for part in trail.parts) for name in ("videos", "usable", "crops")]
        table.add_row(*values(count(len(trail.parts), "part"), *sums))
    return table


def _left_out(trail: Trail) -> Table:
    table = Table("videos", "status", "found by", box=None)
    for stage, status, videos in trail.left_out:
        table.add_row(*values(videos, status, stage))
    return table


def _folds(trail: Trail) -> Table:
    table = Table("seed", "fold", "role", "real", "fake", "crops", "draws", "why", box=None)
    for column in table.columns[3:7]:
        column.justify = "right"
    for fold in trail.folds:
        cells = (fold.seed, fold.fold, fold.role, fold.real, fold.fake, fold.crops, fold.draws, fold.reason)
        table.add_row(*values(*cells))
    return table


def _code(steps: Sequence[Step]) -> Table:
    table = Table("what", "held by", box=None)
    for step, variant in _variants(steps):
        modules = f"{_named(step, variant)}, {count(len(variant.code), 'module')}"
        table.add_row(*values(modules, _held(variant.code_commits)))
    locks: dict[str, tuple[Held, list[str]]] = {}
    machines: dict[str, list[str]] = {}
    for step, variant in _variants(steps):
        told = variant.environment
        locks.setdefault(told.get("lock", "missing"), (variant.lock_commits, []))[1].append(_named(step, variant))
        machine = f"Python {told.get('python', '?')}, {told.get('platform', '?')}"
        machines.setdefault(machine, []).append(_named(step, variant))
    for lock, (held, names) in locks.items():
        of = "" if len(locks) == 1 else f" of {listed(names, 3)}"
        table.add_row(*values(f"requirements.lock{of}, {lock}", _held(held)))
    for machine, names in machines.items():
        table.add_row(*values(machine, "" if len(machines) == 1 else f"of {listed(names, 3)}"))
    return table


def _held(held: Held) -> str:
    if held.first and held.described:
        day, subject = held.described
        return f"{held.first[:10]} of {day}, {subject[:40]}{'…' if len(subject) > 40 else ''}"
    if held.absent:
        return f"no commit has {listed([path.rpartition('/')[2] for path in held.absent], 3)} as it was"
    return "no commit has all of them so"


def _variants(steps: Sequence[Step]) -> Iterator[tuple[Step, Variant]]:
    return ((step, variant) for step in reversed(steps) for variant in step.variants)


def _named(step: Step, variant: Variant) -> str:
    """A stage, with the units where it has several variants."""
    return step.stage if len(step.variants) == 1 else f"{step.stage} {listed(variant.units, 2)}"


def _runs(trail: Trail) -> Text:
    lines = [
        f"{unit}: run {run.run_id}, {run.name}, {run.status.lower()}"
        for unit, found in trail.runs.items()
        for run in found
    ]
    if trail.tracking_server:
        lines.append(f"{trail.tracking_server} is not asked; its runs have the tag recipe_digest")
    return Text("\n".join(lines or ["no run is known here; `trueframe mlflow rebuild` makes them from the files"]))


def _params(steps: Sequence[Step]) -> Table:
    """Each parameter once, and which units it is of where they differ in it."""
    table = Table("parameter", "value", "of", box=None)
    for step in reversed(steps):
        found: dict[tuple[str, str], list[str]] = {}
        for variant in step.variants:
            for name, value in variant.params.items():
                found.setdefault((name, str(values(value)[0])), []).extend(variant.units)
        for (name, value), units in sorted(found.items()):
            table.add_row(*values(name, value, "" if len(units) == len(step.units) else listed(units, 2)))
    return table
