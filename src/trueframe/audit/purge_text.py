"""A purge as a person reads it: what goes, what stays and why, and what no program here can clean."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from trueframe import raw
from trueframe.addresses import public
from trueframe.audit import git, runs
from trueframe.audit.objects import LOCK, RAW_FILE
from trueframe.audit.past import Past
from trueframe.audit.purge import PREFIX, Object, Plan
from trueframe.audit.snapshot import Folder
from trueframe.audit.terminal import bytes_text, count, listed
from trueframe.audit.withdrawal_text import absent
from trueframe.printable import printable
from trueframe.workspace import PARTIAL, Workspace

_SHOWN = 10


def planned(plan: Plan) -> Iterator[str]:
    """What a purge would do."""
    line = plan.lines[0]
    yield f"{printable(line.video)}, sha256 {line.sha256}"
    yield f"to remove from DVC's cache: {_sum(plan.remove)}"
    yield from _by_stage(plan.remove)
    if plan.gone:
        yield f"not here, as purged before or never fetched: {count(len(plan.gone), 'object')}"
    for item, why in list(plan.kept.items())[:_SHOWN]:
        yield f"kept: {printable(item.path)}: {printable(why)}"
    if len(plan.kept) > _SHOWN:
        yield f"kept: {len(plan.kept) - _SHOWN} more"
    yield from _unknown(plan.past)


def done(workspace: Workspace, plan: Plan) -> Iterator[str]:
    """What was done, and what else may have something of the video."""
    yield f"removed {_sum(plan.remove)}"
    config = raw.repository(workspace.root).config
    paths = [*plan.remove, *plan.gone]
    if paths:
        yield from _remotes(config.get("remote", {}), plan)
    yield from _mlflow(workspace, plan)
    yield from _refs(workspace, plan)
    yield from _leftovers(workspace, plan)
    yield from _unnamed(plan.past)
    cache = plan.past.objects.folder
    if not cache.is_relative_to(workspace.root.absolute()):
        yield f"the cache {printable(str(cache))} is outside this workspace: who shares it lost these, too"
    yield "other clones, their caches, and copies that were handed on are not known here: purge there, too"


def _sum(objects: Iterable[Object]) -> str:
    sizes = [item.size for item in objects]
    return f"{count(len(sizes), 'object')}, {bytes_text(sum(sizes))}"


def _by_stage(objects: Iterable[Object]) -> Iterator[str]:
    numbers = Counter("/".join(item.path.split("/")[: 2 if item.path.startswith("data/") else 1]) for item in objects)
    for folder, number in sorted(numbers.items()):
        yield f"  {number:6,}  {printable(folder)}"


def _unknown(past: Past) -> Iterator[str]:
    """Commits of which too little is here to tell."""
    for state in past.states:
        if state.absent:
            yield f"not known: commit {state.commits[0][:10]} of {state.day}, as {absent(state)}"


def _remotes(remotes: Mapping[str, Mapping[str, str]], plan: Plan) -> Iterator[str]:
    yield f"{plan.listed} has the paths of all {len(plan.remove) + len(plan.gone):,} objects, as remotes have them"
    for name, remote in sorted(remotes.items()):
        yield f"remote {printable(name)}: remove each from {printable(public(remote['url']))}"
    if not remotes:
        yield "no remote is known here"
    else:
        yield "until then `dvc fetch` and `dvc pull` of an old commit bring them back"


def _mlflow(workspace: Workspace, plan: Plan) -> Iterator[str]:
    """MLflow's runs keep copies of weights and figures."""
    recipes = dict.fromkeys(recipe for state in plan.past.states for recipe in state.recipes)
    held_runs = (held for recipe in recipes for held in runs.holding(workspace.root, recipe))
    found = sorted(held_runs, key=lambda held: (held.name, held.run_id))
    for held in found:
        version = f", version {held.version[1]} of {held.version[0]}" if held.version else ""
        yield printable(f"MLflow: run {held.run_id}, {held.name}{version}{', deleted' if held.deleted else ''}")
    if found:
        yield "MLflow removes them, files and all, with"
        yield from (printable(f"  {line}") for line in _commands(found))
    if server := runs.elsewhere():
        yield f"{printable(server)} is not asked; its runs have a tag recipe_digest, one of these:"
        yield from (f"  {recipe}" for recipe in recipes)


def _commands(found: Iterable[runs.Held]) -> Iterator[str]:
    """What removes runs and versions, in the order in which MLflow lets them go."""
    found = list(found)
    yield f"export MLFLOW_TRACKING_URI=sqlite:///{runs.DATABASE}"
    for held in found:
        if held.version:
            model, number = held.version
            code = f"import mlflow; mlflow.MlflowClient().delete_model_version({model!r}, {str(number)!r})"
            yield shlex.join(["python", "-c", code])
    for run_id in dict.fromkeys(held.run_id for held in found if not held.deleted):
        yield shlex.join(["mlflow", "runs", "delete", "--run-id", run_id])
    ids = ",".join(dict.fromkeys(held.run_id for held in found))
    yield shlex.join(["mlflow", "gc", "--backend-store-uri", f"sqlite:///{runs.DATABASE}", "--run-ids", ids])


def _refs(workspace: Workspace, plan: Plan) -> Iterator[str]:
    """git has names and digests alone."""
    commits = [sha for state in plan.past.states if state.files for sha in state.commits]
    names = git.containing(workspace.root, commits)
    if names:
        yield f"git: {LOCK} in the history of {listed(names, _SHOWN)} has the objects' digests, which do no harm"


def _leftovers(workspace: Workspace, plan: Plan) -> Iterator[str]:
    """Files that no object stands for: of killed trainings, and reports that a person asked for, such as exports."""
    root = workspace.root
    videos = [path for path in plan.videos if (root / path).is_file() and not (root / RAW_FILE).is_file()]
    if videos:
        yield f"the videos themselves are here: {listed(videos, _SHOWN)}"
    for folder in sorted((root / PARTIAL).glob("*/*")):
        yield f"a killed training left {printable(str(folder.relative_to(root)))}; remove it"
    here = Folder(root)
    known = plan.past.objects.tracked(here.text(LOCK), None).files
    paths = [str(path.relative_to(root)) for path in sorted((root / "reports").rglob("*")) if path.is_file()]
    others = [path for path in paths if path not in known and not path.startswith(PREFIX)]
    if others:
        yield f"made before, perhaps of it; make them anew or remove them: {listed(others, _SHOWN)}"


def _unnamed(past: Past) -> Iterator[str]:
    """Objects that no commit names may be anything; what commits name is not known where not all of them are here."""
    if not past.states or past.shallow or any(state.absent for state in past.states):
        return
    names = {md5.removesuffix(".dir") for md5 in past.named}
    others = [
        path
        for path in past.objects.folder.glob("[0-9a-f][0-9a-f]/*")
        if path.parent.name + path.name.removesuffix(".dir") not in names
    ]
    if others:
        size = bytes_text(sum(path.stat().st_size for path in others))
        yield (
            f"{count(len(others), 'object')}, {size}, in the cache that no commit names; `dvc gc --all-commits "
            "--all-experiments` removes them, whatever they hold"
        )
