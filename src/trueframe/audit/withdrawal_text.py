"""A withdrawal as a person reads it: whether it is done, and which commits have something of the video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from trueframe import raw, withdrawn
from trueframe.audit.objects import LOCK, RAW_FILE
from trueframe.audit.past import State
from trueframe.audit.terminal import count, listed, values
from trueframe.audit.traces import UNKNOWN
from trueframe.audit.withdrawal import Withdrawal

_RUN = "snakemake --cores all submission"
_OWN = {str(LOCK), str(RAW_FILE)}
_SHOWN = 3  # files that no purge removes


def members(withdrawal: Withdrawal) -> Table:
    """The video wherever it lies, and each fake made from it, with its state."""
    table = Table("video", "status", "why", box=None)
    for one in withdrawal.members:
        table.add_row(*values(f"{one.part}/{one.video}", one.status, one.reason or one.why))
    return table


def verdict(withdrawal: Withdrawal) -> Text:
    """Whether something here still has something of it."""
    lines = [f"reason: {reason}" for reason in dict.fromkeys(line.reason for line in withdrawal.lines)]
    if withdrawal.done:
        lines.append("no current model depends on it, and nothing that comes from its part has anything of it")
    elif withdrawal.models:
        models = count(len(withdrawal.models), "current model depends", "current models depend")
        lines.append(f"{models} on it until `{_RUN}` has run")
    else:
        lines.append(f"no current model depends on it, but other files are not up to date until `{_RUN}` has run")
    for title, units in (("has something of it", withdrawal.units), ("comes from older files", withdrawal.broken)):
        if units:
            lines.append(f"{title}: {_counts(unit.partition(' ')[0] for unit in units)}")
    lines += [
        f"{name}: {withdrawn.PATH} has another MD5 than this video; mend the line, which no run sees"
        for name in withdrawal.unseen
    ]
    return Text("\n".join(map(str, values(*lines))))


def _counts(names: Iterable[str]) -> str:
    """ "crops 1, models 5", in the order of the first ones."""
    return ", ".join(f"{name} {number}" for name, number in Counter(names).items())


def past(states: Iterable[State], done: bool, shallow: bool) -> Group | Text:
    """Each commit, the models that depend on the video with DVC's name of each file of weights, and what else.

    done: whether nothing of now has anything of it; shallow: whether this clone lacks older commits.
    """
    states = list(states)
    found = [part for state in states for part in (_state(state), _models(state)) if part]
    found += [values(line)[0] for line in _advice(states, done, shallow)]
    return Group(*found) if found else Text("none")


def _advice(states: Iterable[State], done: bool, shallow: bool) -> Iterator[str]:
    """What to do about them."""
    purge = "`trueframe withdraw VIDEO --purge` removes it from DVC's cache"
    if shallow:
        yield "this clone lacks older commits: `git fetch --unshallow`, then ask again"
    elif any(state.here > len(state.kept) for state in states):
        yield purge if done else f"once `{_RUN}` has run and is committed, {purge}"
    elif done:
        kept = {path: why for state in states for path, why in state.kept.items()}
        for path in sorted(kept, key=lambda path: (not path.startswith(f"{raw.RAW}/"), path))[:_SHOWN]:
            yield f"no purge removes {path}: {kept[path]}"
        if len(kept) > _SHOWN:
            yield f"no purge removes {len(kept) - _SHOWN} more"


def absent(state: State) -> str:
    """Why not all is known of a state that lacks something."""
    own = [path for path in state.absent if path in _OWN]
    others = [path for path in state.absent if path not in _OWN]
    lines = [f"{path} can't be read" for path in own]
    if others:
        lines.append(f"{listed(others, 2)} not in the cache; `dvc fetch --all-commits`")
    return ", ".join(lines)


def _state(state: State) -> Text:
    commits = listed([sha[:10] for sha in state.commits], 3)
    line = f"{commits} of {state.day}, {state.subject}: "
    if state.files:
        line += f"files of {_counts(_kind(path) for path in state.files)}"
        if gone := len(state.files) - state.here:
            line += f"; {state.here} here, {gone} gone" if state.here else "; gone from this cache"
        if state.absent:
            line += "; "
    if state.absent:
        line += f"not known whether it has {'more' if state.files else 'anything'} of it: {absent(state)}"
    return values(line)[0]


def _kind(path: str) -> str:
    return path.split("/")[1 if path.startswith("data/") else 0]


def _models(state: State) -> Table | None:
    table = Table("seed", "role", "weights", "md5 in DVC", box=None, padding=(0, 1, 0, 2))
    for model in state.models:
        role = f"{UNKNOWN} (its tables are gone)" if model.role == UNKNOWN else model.role
        for path, md5 in model.weights.items():
            table.add_row(*values(model.seed, role, path, md5))
    return table if state.models else None
