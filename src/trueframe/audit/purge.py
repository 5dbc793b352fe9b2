"""Removes from DVC's cache what older commits have of a withdrawn video; what is to go is listed whole before.

An object goes only if every commit's unit that made it has something of the video, and nothing of now needs it. The
objects that list a folder's files stay: they hold names and digests alone, by them `dvc checkout` of an old commit says
which files are gone, and a later purge, or one in another clone, finds what to clean.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trueframe import raw, withdrawn
from trueframe.audit import git, withdrawal
from trueframe.audit.objects import LOCK, RAW_FILE
from trueframe.audit.past import Past
from trueframe.audit.trail import Auditor
from trueframe.audit.withdrawal import Withdrawal
from trueframe.errors import UserError
from trueframe.files import write_text
from trueframe.withdrawn import Withdrawn
from trueframe.workspace import Workspace

PREFIX = "reports/purged-"  # of the lists for remotes
_FOLDERS = ("data", "models", "reports")  # of what DVC tracks


@dataclass(frozen=True)
class Object:
    """An object of DVC's cache. path: of one of the files that had its content."""

    md5: str
    path: str
    size: int

    @property
    def remote(self) -> str:
        """Its path in a remote."""
        return f"files/md5/{self.md5[:2]}/{self.md5[2:]}"


@dataclass(frozen=True)
class Plan:
    """What a purge does. remove: what is here and goes; gone: what should go and is not here, of size 0.

    kept: what has something of the video and stays, with why; videos: where its file and those of its fakes lie or lay;
    listed: the file that names all of `remove` and `gone` for remotes; both relative to the workspace.
    """

    lines: tuple[Withdrawn, ...]
    videos: tuple[str, ...]
    past: Past
    remove: tuple[Object, ...]
    gone: tuple[Object, ...]
    kept: Mapping[Object, str]
    listed: Path

    @property
    def complete(self) -> bool:
        """Whether all that would tell what older commits have of it is here."""
        return not any(state.absent for state in self.past.states)


def plan(workspace: Workspace, asked: str) -> Plan:
    """What would be removed for the withdrawn video that `asked` means; nothing is changed.

    Raises UserError where no such video is withdrawn, where something of now still has something of it, where
    dvc.lock, data/raw.dvc or data/withdrawn.csv are not as the commit that is checked out has them, and where git reads
    no commit, or lacks older ones.
    """
    lines = _lines(workspace, asked)
    _require_history(workspace.root)
    found = withdrawal.of(Auditor(workspace), lines)
    _require_done(workspace, asked, found)
    past = Past(workspace.root, lines)
    needed = _Needed(workspace.root, past)
    remove, gone, kept = [], [], {}
    named = {md5: path for state in past.states for path, md5 in state.files.items()}
    for md5, path in sorted(named.items(), key=lambda item: (item[1], item[0])):
        place = past.objects.place(md5)
        item = Object(md5, path, place.stat().st_size if place.is_file() else 0)
        why = needed.why(item)
        if why:
            kept[item] = why
        elif place.is_file():
            remove.append(item)
        else:
            gone.append(item)
    listed = Path(f"{PREFIX}{lines[0].sha256[:12]}.txt")
    videos = tuple(f"{raw.RAW}/{member.part}/{member.video}" for member in found.members)
    return Plan(lines, videos, past, tuple(remove), tuple(gone), kept, listed)


def carry_out(workspace: Workspace, plan: Plan) -> None:
    """Remove the objects, and write the list for the remotes before, so that a purge that is killed can go on."""
    paths = sorted(item.remote for item in (*plan.remove, *plan.gone))
    if paths:
        write_text(workspace.root / plan.listed, "".join(f"{path}\n" for path in paths))
    for item in plan.remove:
        plan.past.objects.place(item.md5).unlink(missing_ok=True)


def _lines(workspace: Workspace, asked: str) -> tuple[Withdrawn, ...]:
    lines = withdrawn.find(workspace.withdrawals, asked)
    contents = {line.sha256 for line in lines}
    if not contents:
        raise UserError(
            f"{asked}: expected a video that {withdrawn.PATH} has, by its name or SHA-256; withdraw it first with "
            "`trueframe withdraw VIDEO --reason TEXT`"
        )
    if len(contents) > 1:
        raise UserError(
            f"{asked}: expected one video, found {len(contents)} in {withdrawn.PATH}; name one by its SHA-256: "
            f"{', '.join(sorted(contents))}"
        )
    return lines


def _require_history(root: Path) -> None:
    git.require_head(root)
    if git.shallow(root):
        raise UserError(f"{root}: this clone lacks older commits; `git fetch --unshallow`, then purge")


def _require_done(workspace: Workspace, asked: str, found: Withdrawal) -> None:
    if not found.done:
        count = len({*found.units, *found.broken})
        raise UserError(
            f"{asked}: {count} units here still have something of it, or come from what had; run `snakemake --cores "
            f"all submission`, commit {LOCK} and {withdrawn.PATH}, then purge; `trueframe audit --video` tells which"
        )
    changed = git.modified(workspace.root, (LOCK, RAW_FILE, withdrawn.PATH))
    if changed:
        raise UserError(
            f"{', '.join(changed)}: expected as committed, since what the last commit names is never removed; commit, "
            "then purge"
        )


class _Needed:
    """What must stay: what something else has, and what the workspace has a link to."""

    def __init__(self, root: Path, past: Past) -> None:
        self._root, self._past = root, past

    def why(self, item: Object) -> str | None:
        """Why an object must stay; None where it may go."""
        if why := self._past.needed(item.path, item.md5):
            return why
        place = self._past.objects.place(item.md5)
        linked = self._linked.get(_inode(place)) if place.is_file() else None
        return f"{linked} is a link to it" if linked else None

    @cached_property
    def _linked(self) -> dict[tuple[int, int], str]:
        """What the workspace's files lie on, to a path: a link into the cache lies where its object does."""
        return {_inode(path): str(path.relative_to(self._root)) for path in self._files()}

    def _files(self) -> Iterator[Path]:
        for folder in _FOLDERS:
            for place, _, names in os.walk(self._root / folder):
                yield from (path for name in names if (path := Path(place, name)).is_file())


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return (status.st_dev, status.st_ino)
