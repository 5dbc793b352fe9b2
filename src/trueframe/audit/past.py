"""What older commits have of a withdrawn video: their models, and the objects of DVC's cache, by git and that cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from trueframe import raw, records
from trueframe.audit import git
from trueframe.audit.objects import LOCK, RAW_FILE, Objects, Tracked
from trueframe.audit.snapshot import Commit, Folder, Node
from trueframe.audit.traces import UNUSED, Look, Traces
from trueframe.audit.trail import TRACKED
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.formats import OtherFormatError
from trueframe.records import Record
from trueframe.withdrawn import Withdrawn


@dataclass(frozen=True)
class Model:
    """A model that a commit has and that depends on the video.

    role: trained, validated (its epochs were chosen by it) or unknown; weights: path to MD5, DVC's name of the object.
    """

    seed: str
    role: str
    weights: Mapping[str, str]


@dataclass(frozen=True)
class State:
    """What some commits have alike. commits: the newest first; day, subject: of the oldest of them, which brought it.

    models: those that depend on the video; files: all that has something of it, raw files included, path to MD5;
    recipes: digests of all that MLflow hears of, among them; absent: paths of what would have to be here to know all,
    or of DVC's own file where that can't be read; here: how many of `files` are in the cache; kept: those of these that
    no purge removes, each with why.
    """

    commits: tuple[str, ...]
    day: str
    subject: str
    models: tuple[Model, ...]
    files: Mapping[str, str]
    recipes: tuple[str, ...]
    absent: tuple[str, ...]
    here: int
    kept: Mapping[str, str] = field(default_factory=dict)


class _Old(Commit):
    """A commit whose records are parsed once for all commits that have them."""

    def __init__(self, root: Path, sha: str, objects: Objects, known: dict[str, Record | None]) -> None:
        super().__init__(root, sha, objects)
        self._known = known
        self._unreadable: set[str] = set()

    @cached_property
    def tracked(self) -> Tracked:
        """What DVC tracked; one of its files that can't be read, as with the marks of a merge, counts as not here."""
        found = Tracked({}, {}, ())
        for path in (LOCK, RAW_FILE):
            text = self.text(path)
            try:
                more = self.objects.tracked(*((text, None) if path == LOCK else (None, text)))
            except UserError:
                more = Tracked({}, {}, (str(path),))
            found = Tracked(found.files | more.files, found.roots | more.roots, found.unlisted + more.unlisted)
        return found

    @cached_property
    def records(self) -> dict[Node, Record]:
        found = {}
        for stage in STAGES.values():
            for unit, path in self._units(stage):
                record = self._record(path)
                if record is not None and (record.stage, record.unit) == (stage.name, unit):
                    found[stage.name, unit] = record
        return found

    def _record(self, path: str) -> Record | None:
        md5, place = self.tracked.files.get(path), self.locate(path)
        if md5 is None or place is None:
            return None
        if md5 not in self._known:
            try:
                self._known[md5] = records.read(place)
            except OtherFormatError:
                self._unreadable.add(path)
                return None
        return self._known[md5]

    def absent(self) -> Iterator[str]:
        """Lists of files, records and indexes that the cache has not: what they would lead to is not known.

        Records of another format are among them.
        """
        yield from self.tracked.unlisted
        _ = self.records
        yield from sorted(self._unreadable)
        index = STAGES["index"].outputs["table"]
        paths = [path for stage in STAGES.values() for _, path in self._units(stage)]
        paths += [index.format(unit=unit) for stage, unit in self.records if stage == "index"]
        yield from (path for path in paths if path in self.tracked.files and self.locate(path) is None)


class Past:
    """The history of a content that was withdrawn: every different dvc.lock and data/raw.dvc, the newest first.

    Of all branches, tags, stashes and experiments, and of what the reflogs still know. states: what each has of the
    video; innocent: MD5s of what units made that have nothing of it; named: every MD5; shallow: whether this clone
    lacks older commits, of which nothing is known then.
    """

    def __init__(self, root: Path, lines: Iterable[Withdrawn], objects: Objects | None = None) -> None:
        """`lines`: of data/withdrawn.csv, those that are meant.

        Raises UserError where git reads no commit, and for a dvc.lock of now that is none.
        """
        self._root, self._head = root, git.require_head(root)
        self.shallow = git.shallow(root)
        self.objects = objects or Objects(root)
        self.states: list[State] = []
        self.innocent: set[str] = set()
        self.named: set[str] = set()
        look, known, lines = Look(), dict[str, Record | None](), tuple(lines)
        for commits in _alike(root):
            commit = _Old(root, commits[0], self.objects, known)
            self._add(commit, commits, Traces(commit, lines, look))
        self.states = [replace(state, kept=self._kept(state)) for state in self.states]

    def _add(self, commit: _Old, commits: list[str], traces: Traces) -> None:
        md5 = commit.tracked.files
        having = {node: [path for path in traces.files(node) if path in md5] for node in traces.units}
        paths = [*(path for made in having.values() for path in made), *traces.raw(md5)]
        day, subject = git.described(commit.root, commits[-1:])[commits[-1]]
        self.states.append(
            State(
                commits=tuple(commits),
                day=day,
                subject=subject,
                models=tuple(_models(traces, md5)),
                files={path: md5[path] for path in paths},
                recipes=tuple(commit.records[node].recipe.digest for node in having if node[0] in TRACKED),
                absent=tuple(commit.absent()),
                here=sum(self.objects.place(md5[path]).is_file() for path in paths),
            )
        )
        others = (record for node, record in commit.records.items() if node not in having)
        self.innocent |= {md5[path] for record in others for path in record.outputs if path in md5}
        self.named |= {*md5.values(), *commit.tracked.roots.values()}

    def _kept(self, state: State) -> dict[str, str]:
        here = {path: md5 for path, md5 in state.files.items() if self.objects.place(md5).is_file()}
        return {path: why for path, md5 in here.items() if (why := self.needed(path, md5))}

    def needed(self, path: str, md5: str) -> str | None:
        """Why the object of an older commit's file must stay, as something else has it; None where nothing has."""
        for tracked in self._tracked:
            for folder in tracked.unlisted:
                if path.startswith(f"{folder}/"):
                    return f"what {folder} has now is not known here; `dvc fetch {folder}`, then purge again"
        now = self._now.get(md5)
        if now and now.startswith(f"{raw.RAW}/"):
            return f"{RAW_FILE} has it as {now}: delete that file, `dvc add {raw.RAW}`, commit, then purge again"
        if now:
            return f"{LOCK} has it as {now} now"
        if md5 in self.innocent:
            return "another commit's unit that has nothing of the video made the same bytes"
        return None

    @cached_property
    def _tracked(self) -> list[Tracked]:
        """What is tracked now: by the working tree, and by the commit that is checked out."""
        here = Folder(self._root)
        found = self.objects.tracked(here.text(LOCK), here.text(RAW_FILE))
        return [found, _Old(self._root, self._head, self.objects, {}).tracked]

    @cached_property
    def _now(self) -> dict[str, str]:
        """MD5 to a path."""
        return {md5: path for tracked in self._tracked for path, md5 in tracked.files.items()}


def _alike(root: Path) -> list[list[str]]:
    """Commits that changed one of DVC's two files, those with the same files together, the newest first."""
    commits = git.versions(root, (LOCK, RAW_FILE))
    blobs = list(git.blobs(root, (f"{sha}:./{path}" for sha in commits for path in (LOCK, RAW_FILE))))
    groups: dict[tuple[str | None, ...], list[str]] = {}
    for number, sha in enumerate(commits):
        groups.setdefault(tuple(blobs[2 * number : 2 * number + 2]), []).append(sha)
    return [group for pair, group in groups.items() if any(pair)]


def _models(traces: Traces, md5: Mapping[str, str]) -> Iterator[Model]:
    for seed in sorted((seed for seed, role in traces.roles.items() if role != UNUSED), key=int):
        record = traces.graph.records["models", seed]
        weights = {path: md5[path] for path in record.outputs if path.endswith(".safetensors") and path in md5}
        yield Model(seed, traces.roles[seed], weights)
