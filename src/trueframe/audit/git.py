"""What git says of a repository. git itself is asked; nothing of the network, nothing changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from trueframe.errors import UserError

_NOTHING = ("not a git repository", "unknown revision", "bad revision", "Invalid revision range")  # git's own words


def _git(root: Path, *words: str, text: str | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", *words],
        cwd=root,
        env=os.environ | {"LC_ALL": "C"},  # what it says is read, so not in the user's language
        input=None if text is None else text.encode(),
        capture_output=True,
        check=False,
    )


def _lines(root: Path, *words: str) -> list[str]:
    """What git prints, line by line; nothing outside a repository, before the first commit and of what it knows not.

    Raises UserError where git fails otherwise: that it does not read a repository is no answer about its history.
    """
    done = _git(root, *words)
    if done.returncode == 1 or (done.returncode and any(told in _said(done) for told in _NOTHING)):
        return []  # `rev-parse --verify --quiet` says no by 1
    _require(root, done)
    return done.stdout.decode(errors="replace").splitlines()


def _require(root: Path, done: subprocess.CompletedProcess[bytes]) -> None:
    if done.returncode:
        raise UserError(f"{root}: expected a git repository with a commit that git can read: {_said(done)}; mend that")


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The first line of what git complains of."""
    return done.stderr.decode(errors="replace").strip().partition("\n")[0]


def commit(root: Path, revision: str) -> str:
    """The full name of a commit. Raises UserError where git knows none by this name."""
    found = _lines(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found:
        raise UserError(f"{revision}: expected a commit, a branch or a tag of {root}; `git log --all` lists commits")
    return found[0]


def head(root: Path) -> str | None:
    """The commit that is checked out; None before the first one and outside a repository."""
    return next(iter(_lines(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")), None)


def require_head(root: Path) -> str:
    """The same. Raises UserError, with git's reason, where there is none or git does not tell."""
    done = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
    _require(root, done)
    return done.stdout.decode().strip()


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
    """Files below the paths that are not as the commit that is checked out has them, new ones included.

    Raises UserError where git does not tell.
    """
    words = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *map(str, paths))
    done = _git(root, *words)
    _require(root, done)
    return sorted(entry[3:] for entry in done.stdout.decode(errors="replace").split("\0") if entry)


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


def versioned(root: Path, path: Path) -> bool:
    """Whether git tracks a file."""
    return _git(root, "ls-files", "--error-unmatch", "--", str(path)).returncode == 0


def inside(root: Path) -> bool:
    """Whether a folder is in a git repository. Raises UserError where git does not tell."""
    return bool(_lines(root, "rev-parse", "--git-dir"))
