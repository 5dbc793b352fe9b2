"""Do the bytes bear the records out? Every claim of a record, of DVC's lock and of its cache, against the bytes.

It reads, and changes nothing. A record is believed where it is as DVC holds it, and where DVC does not know it; of one
that was edited DVC's copy is believed. Whether a unit is stale, made by other parameters or code than those of now, is
no question here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trueframe import raw
from trueframe.audit import subject
from trueframe.audit.graph import Graph
from trueframe.audit.proof import digests, others
from trueframe.audit.proof.contents import Claim, Comparison
from trueframe.audit.proof.findings import Finding, Kind, Report, in_order
from trueframe.audit.proof.lock import Lock
from trueframe.audit.proof.testimony import Testimony, hear
from trueframe.audit.snapshot import Node
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.progress import Progress
from trueframe.workspace import Workspace


def verify(
    workspace: Workspace, asked: str | None = None, progress: Progress | None = None, threads: int = digests.THREADS
) -> Report:
    """Compare everything, or the unit that `asked` names as for `audit PATH`, and all that it came from.

    Raises UserError where no record knows what is asked, and outside a DVC repository.
    """
    return _Verification(workspace, progress or Progress("audit --verify"), threads).report(asked)


class _Verification:
    def __init__(self, workspace: Workspace, progress: Progress, threads: int) -> None:
        self.workspace, self.root = workspace, workspace.root
        self.lock = Lock(self.root)
        self.heard = hear(self.root, self.lock)
        told = {node: one.believed or one.own for node, one in self.heard.items()}
        self.graph = Graph({node: record for node, record in told.items() if record})
        # What units without a record should have made: whether it was read rightly can't be told.
        self.unknown = {
            str(path): node
            for node, record in told.items()
            if record is None
            for path in workspace.layout.output_paths(*node)
        }
        self.comparison = Comparison(self.root, self.lock, progress, threads)
        self.unreadable: list[Finding] = []

    def report(self, asked: str | None) -> Report:
        """All of it, or what is asked."""
        units = list(self.heard.values()) if asked is None else self._scope(asked)
        found = [*self.lock.findings, *self._records(units), *self._links(units)]
        made = {claim.path: claim for one in units for claim in self._claims(one)}
        if asked is None:
            tracked = (path for path in self.lock.tracked.files if path not in made and not _is_raw(path))
            made |= {path: Claim(path, self.lock.says(path)) for path in tracked}
        found += self.comparison.findings(list(made.values()), "artifacts")
        wrong = {finding.path for finding in found}
        read = self._raw(units, wrong, everything=asked is None)
        found += self.comparison.findings(read, "raw files")
        # Without the weights that a training may begin with: whether DVC has those is the user's choice.
        paths = {*made, *(claim.path for claim in read if _is_raw(claim.path))}
        found += self._others(units, wrong, paths, everything=asked is None)
        return Report(self.comparison.checked, in_order(found))

    def _scope(self, asked: str) -> list[Testimony]:
        """The unit that is asked for and all above it, in the order of the DAG."""
        node = subject.find(self.root, self.graph, asked).node
        if node not in self.heard:
            raise UserError(f"{asked}: no record; run `dvc pull`, or make it with snakemake")
        above = self.graph.above(node)
        inputs = (path for one in above if one in self.graph.records for path in self.graph.records[one].recipe.inputs)
        wanted = {*above, *(self.unknown[path] for path in inputs if path in self.unknown)}
        return [one for node, one in self.heard.items() if node in wanted]

    def _records(self, units: Iterable[Testimony]) -> Iterator[Finding]:
        """What is wrong with the records themselves."""
        for one in units:
            self.comparison.checked.records += 1
            self.comparison.checked.size += one.size
            if one.finding:
                yield one.finding

    def _links(self, units: Iterable[Testimony]) -> Iterator[Finding]:
        """Inputs that are not the outputs which the records above have."""
        broken: dict[tuple[str, str], list[Node]] = {}
        for one in units:
            inputs = one.believed.recipe.inputs if one.believed else {}
            self.comparison.checked.links += len(inputs)
            for path, digest in inputs.items():
                if self._recorded(path, digest) != digest:
                    broken.setdefault((path, digest), []).append(one.node)
        for (path, digest), readers in broken.items():
            more = f" and {len(readers) - 1} more" if len(readers) > 1 else ""
            expected = f"{digest}, as {' '.join(readers[0])}{more} read it"
            advice = (
                "if it was made anew, run snakemake; else a record was edited and DVC told: `git log -p dvc.lock` has "
                "the one before"
            )
            yield Finding(path, Kind.LINK, expected, self._recorded(path, digest), advice)

    def _recorded(self, path: str, digest: str) -> str:
        """The digest of an input by the record of what made it; `digest` itself where that can't be asked."""
        maker = self.graph.makers.get(path)
        if maker is not None:
            record = self.heard[maker].believed
            return f"sha256:{record.outputs[path].sha256}" if record else digest
        of_a_stage = digest.startswith("sha256:") and path not in self.unknown
        return "no record says what made it" if of_a_stage else digest

    def _claims(self, one: Testimony) -> Iterator[Claim]:
        """What is said of a unit's artifacts; and of its record, which was compared before, that DVC has a copy."""
        yield Claim(one.path, here=False)
        record = one.believed or one.own
        paths = list(record.outputs) if record else map(str, self.workspace.layout.output_paths(*one.node))
        for path in paths:
            said = self.lock.says(path)
            if one.believed:
                output = one.believed.outputs[path]
                said = ((one.path, f"sha256:{output.sha256}"), (one.path, f"size:{output.size}"), *said)
            own = one.own.outputs.get(path) if one.own is not one.believed and one.own else None
            if said:
                yield Claim(path, said, f"sha256:{own.sha256}" if own else "")

    def _raw(self, units: Iterable[Testimony], wrong: set[str], everything: bool) -> list[Claim]:
        """What is said of the files that no unit made: videos, labels, a file of weights to begin with."""
        said: dict[str, tuple[tuple[str, str], ...]] = {}
        if everything:
            said |= dict.fromkeys(filter(_is_raw, self.lock.tracked.files), ())
        for one in units:
            for path, digest in one.believed.recipe.inputs.items() if one.believed else ():
                if digest.startswith("md5:"):
                    said[path] = (*said.get(path, ()), (one.path, digest))
            for path, claim in self._indexed(one, wrong):
                said[path] = (*said.get(path, ()), claim)
        return [
            Claim(path, (*claims, *self.lock.says(path)), here=self.workspace.has_raw or not _is_raw(path))
            for path, claims in sorted(said.items())
        ]

    def _indexed(self, one: Testimony, wrong: set[str]) -> Iterator[tuple[str, tuple[str, str]]]:
        """Each video of a part and what its index says of it, where the index itself is as its record says."""
        table = STAGES["index"].outputs["table"].format(unit=one.node[1])
        if one.node[0] != "index" or one.believed is None or table in wrong:
            return
        rows = others.digests(self.root / table)
        if rows is None:
            finding = Finding(table, Kind.UNREADABLE, "an index of videos", "something else", self.lock.restore(table))
            self.unreadable.append(finding)
        for video, sha256 in rows or ():
            yield f"{raw.RAW}/{one.node[1]}/{video}", (table, f"sha256:{sha256}")

    def _others(self, units: list[Testimony], wrong: set[str], paths: set[str], everything: bool) -> Iterator[Finding]:
        """What the digests of single files don't tell."""
        believed = [one.believed for one in units if one.believed]
        yield from self.unreadable
        yield from others.selections(self.root, believed, wrong)
        yield from others.environments(self.root, believed)
        yield from others.untracked(paths, self.lock)
        yield from others.lacking(self.comparison.lacking)
        absent = 0 if self.workspace.has_raw else sum(map(_is_raw, paths))
        if absent:
            yield Finding(str(raw.RAW), Kind.ABSENT, f"{absent} files", "not here", f"`dvc pull {raw.RAW}`")
        if everything:
            named = (path for one in units if one.own for path in (*one.own.outputs, *one.own.recipe.inputs))
            yield from others.unclaimed(self.root, {*paths, *named, *self.unknown})
        roots = {self.lock.root_of(path) for path in paths}
        self.comparison.checked.objects += len(self.lock.listed(roots))
        yield from self.lock.compare(roots)


def _is_raw(path: str) -> bool:
    return path.startswith(f"{raw.RAW}/")
