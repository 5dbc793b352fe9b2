"""Files against what is said of them, and DVC's copies against their names."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trueframe.audit.objects import LOCK, RAW_FILE
from trueframe.audit.proof import digests
from trueframe.audit.proof.digests import Content
from trueframe.audit.proof.findings import Checked, Finding, Kind
from trueframe.audit.proof.lock import Lock
from trueframe.progress import Progress

_BY_LOCK = (str(LOCK), str(RAW_FILE))


@dataclass(frozen=True, slots=True)
class Claim:
    """What is said of a file.

    said: who says it, and "sha256:…", "md5:…" or "size:…"; own: "sha256:…" by a record that is not as DVC holds it;
    here: whether the file itself is to be compared, and not DVC's copy of it alone.
    """

    path: str
    said: tuple[tuple[str, str], ...] = ()
    own: str = ""
    here: bool = True


@dataclass(frozen=True, slots=True)
class _Job:
    """file, copy: what to read, None where it is not to be compared; md5: names the copy."""

    claim: Claim
    file: Path | None
    copy: Path | None
    md5: str

    def read(self) -> tuple[Content | None, Content | None, int]:
        """What the file and the copy are, and how many bytes were read: of a link and what it leads to, once."""
        asked = {digest.partition(":")[0] for _, digest in (*self.claim.said, ("", self.claim.own))}
        if self.file and self.copy and _identity(self.file) == _identity(self.copy):
            both = digests.read(self.file, "sha256" in asked)
            return both, both, both.size
        file = digests.read(self.file, "sha256" in asked, "md5" in asked) if self.file else None
        copy = digests.read(self.copy, sha256=False) if self.copy else None
        return file, copy, sum(content.size for content in (file, copy) if content)


class Comparison:
    """Reads each file once. lacking: tracked folders and files, and how many of their objects the cache lacks."""

    def __init__(self, root: Path, lock: Lock, progress: Progress, threads: int) -> None:
        """`root`: the workspace."""
        self._root, self._lock, self._progress, self._threads = root, lock, progress, threads
        self._seen: set[str] = set()
        self.checked = Checked()
        self.lacking: Counter[str] = Counter()

    def findings(self, claims: Sequence[Claim], what: str) -> Iterator[Finding]:
        """What is wrong with some files and DVC's copies; `what` they are is told with the progress."""
        with self._progress.task(len(claims), "files", what) as advance:
            for job, (file, copy, size) in digests.spread(_Job.read, self._jobs(claims), self._threads):
                self.checked.size += size
                if file:
                    self.checked.files += 1
                    yield from self._file(job.claim, file)
                if copy:
                    self.checked.objects += 1
                    yield from self._copy(job, copy)
                advance(1)

    def _jobs(self, claims: Iterable[Claim]) -> Iterator[_Job]:
        objects = self._lock.objects
        for claim in claims:
            md5 = self._unseen(claim.path)
            yield _Job(claim, self._root / claim.path if claim.here else None, objects.place(md5) if md5 else None, md5)

    def _unseen(self, path: str) -> str:
        """The name of DVC's copy of a file; empty where it is not here or was compared before."""
        md5 = self._lock.tracked.files.get(path, "")
        if not md5 or md5 in self._seen:
            return ""
        self._seen.add(md5)
        if self._lock.objects.place(md5).exists():
            return md5
        self.lacking[self._lock.root_of(path)] += 1
        return ""

    def _file(self, claim: Claim, content: Content) -> Iterator[Finding]:
        against = [(who, digest) for who, digest in claim.said if not content.has(digest)]
        if not against and content.error is None:
            return
        kind = _kind(claim, content, against)
        expected = "; ".join(f"{digest} by {who}" for who, digest in against) or "a file"
        yield Finding(
            claim.path, kind, expected, str(content), self._lock.restore(claim.path, kind is not Kind.MISSING)
        )

    def _copy(self, job: _Job, content: Content) -> Iterator[Finding]:
        if content.has(f"md5:{job.md5}"):
            return
        name, root = self._lock.objects.named(job.md5), shlex.quote(self._lock.root_of(job.claim.path))
        expected = f"md5:{job.md5}, the content of {job.claim.path}"
        advice = (
            f"remove it; `dvc commit -f {root}` puts it back from a sound file here, `dvc fetch {root}` from a remote"
        )
        yield Finding(name, Kind.OBJECT, expected, str(content), advice)


def _kind(claim: Claim, content: Content, against: Sequence[tuple[str, str]]) -> Kind:
    if content.error:
        return Kind.MISSING if isinstance(content.error, FileNotFoundError) else Kind.UNREADABLE
    by_lock_alone = all(who in _BY_LOCK for who, _ in against) and len(against) < len(claim.said)
    return Kind.LOCK if by_lock_alone or (claim.own and content.has(claim.own)) else Kind.CHANGED


def _identity(place: Path) -> tuple[int, int] | None:
    """What tells a file from all others, links followed; None where there is none."""
    try:
        about = place.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
