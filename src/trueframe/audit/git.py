"""What git says of a repository. git itself is asked; nothing of the network, nothing changed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from trueframe.errors import UserError


def _git(root: Path, *words: str, text: str | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", *words], cwd=root, input=None if text is None else text.encode(), capture_output=True, check=False
    )


def _lines(root: Path, *words: str) -> list[str]:
    """What git prints, line by line; nothing where it fails, as outside a repository or before the first commit."""
    done = _git(root, *words)
    return done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else []


def commit(root: Path, revision: str) -> str:
    """The full name of a commit. Raises UserError where git knows none by this name."""
    found = _lines(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found:
        raise UserError(f"{revision}: expected a commit, a branch or a tag of {root}; `git log --all` lists commits")
    return found[0]


def head(root: Path) -> str | None:
    """The commit that is checked out; None before the first one and outside a repository."""
    return next(iter(_lines(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")), None)


def show(root: Path, sha: str, path: Path) -> str | None:
    """A file's text at a commit; None where it was not there. `path`: relative to `root`."""
    done = _git(root, "cat-file", "blob", f"{sha}:./{path}")
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def changes(root: Path, paths: Iterable[Path | str], everywhere: bool = False) -> list[str]:
    """Commits that changed one of the paths, the newest first: of what is checked out, or of every branch and tag."""
    which = ["--all"] if everywhere else ["HEAD"]
    return _lines(root, "rev-list", "--topo-order", *which, "--", *map(str, paths))


def versions(root: Path, paths: Iterable[Path | str]) -> list[str]:
    """Commits that changed one of the paths, the newest first: of every branch, tag, stash and DVC experiment, merged
    ways included, and of what the reflogs still know.
    """
    return _lines(root, "rev-list", "--topo-order", "--full-history", "--all", "--reflog", "--", *map(str, paths))


def containing(root: Path, shas: Iterable[str]) -> list[str]:
    """Branches, tags and other references that have one of the commits in their history."""
    words = [word for sha in shas for word in ("--contains", sha)]
    return sorted(_lines(root, "for-each-ref", "--format=%(refname:short)", *words)) if words else []


def between(root: Path, old: str, new: str, path: str) -> list[str]:
    """Commits that changed a path, the newest first: those that `new` has in its history and `old` has not."""
    return _lines(root, "rev-list", "--topo-order", f"{old}..{new}", "--", path)


def described(root: Path, shas: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Commit to (day, subject)."""
    wanted = list(shas)
    if not wanted:
        return {}
    found = {}
    for line in _lines(root, "show", "--no-patch", "--format=%H%x09%cs%x09%s", *wanted):
        sha, day, subject = line.split("\t", 2)
        found[sha] = (day, subject)
    return found


def dated(root: Path, sha: str) -> str:
    """When a commit was made, as ISO 8601 in UTC."""
    (seconds,) = _lines(root, "show", "--no-patch", "--format=%ct", sha)
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def modified(root: Path, paths: Iterable[Path | str]) -> list[str]:
    """Files below the paths that are not as the commit that is checked out has them, new ones included."""
    words = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *map(str, paths))
    return sorted(entry[3:] for entry in _git(root, *words).stdout.decode(errors="replace").split("\0") if entry)


def shallow(root: Path) -> bool:
    """Whether this clone lacks older commits."""
    return _lines(root, "rev-parse", "--is-shallow-repository") == ["true"]


def blobs(root: Path, names: Iterable[str]) -> Iterator[str | None]:
    """The object of each `<commit>:<path>`, in their order; None where there is none. One process for all."""
    wanted = list(names)
    done = _git(root, "cat-file", "--batch-check=%(objectname) %(objecttype)", text="".join(f"{n}\n" for n in wanted))
    for line in done.stdout.decode(errors="replace").splitlines():
        name, _, kind = line.rpartition(" ")
        yield name if kind == "blob" else None


def contents(root: Path, objects: Iterable[str]) -> Iterator[bytes]:
    """The bytes of each object, in their order. One process for all."""
    wanted = list(objects)
    if not wanted:
        return
    data = _git(root, "cat-file", "--batch", text="".join(f"{name}\n" for name in wanted)).stdout
    start = 0
    for _ in wanted:
        end = data.index(b"\n", start)
        size = int(data[start:end].split()[-1])
        yield data[end + 1 : end + 1 + size]
        start = end + size + 2
