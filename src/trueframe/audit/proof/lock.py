"""What DVC's lock says of each file, as far as the lock itself can be believed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, Field, ValidationError

from trueframe.audit import git
from trueframe.audit.objects import LOCK, RAW_FILE, Objects, Tracked, parsed
from trueframe.audit.proof import digests
from trueframe.audit.proof.findings import Finding, Kind
from trueframe.raw import RAW

_MD5 = "md5:"


class _Out(BaseModel):
    path: str
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")] | None = None


class _Stage(BaseModel):
    outs: list[_Out] = []


class _File(BaseModel):
    """What we read of a dvc.lock and of a .dvc file."""

    stages: dict[str, _Stage] = {}
    outs: list[_Out] = []


class Sound(Objects):
    """DVC's cache, whose objects are read as well."""

    def read(self, md5: str) -> digests.Content:
        """What an object's bytes are now."""
        return digests.read(self.place(md5), sha256=False)

    def named(self, md5: str) -> str:
        """An object's path as we tell it: from the workspace where it lies in there."""
        place, root = self.place(md5), self._root.absolute()
        return str(place.relative_to(root) if place.is_relative_to(root) else place)

    def original(self, md5: str) -> bytes | None:
        """An object's bytes; None where it is not here or is corrupt."""
        place = self.place(md5)
        return place.read_bytes() if self.read(md5).has(_MD5 + md5) else None


class Lock:
    """dvc.lock and data/raw.dvc as they lie in a workspace. findings: what is wrong with them."""

    def __init__(self, root: Path) -> None:
        """`root`: the workspace, a DVC repository."""
        self._root = root
        self.objects = Sound(root)
        self.findings: list[Finding] = []
        self._texts = {path: self._text(path) for path in (LOCK, RAW_FILE)}

    def _text(self, path: Path) -> str | None:
        """A file's text where it is one of DVC's."""
        place = self._root / path
        if not place.is_file():
            return None
        try:
            text = place.read_bytes().decode()
            _parsed(text)
        except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
            found = str(error).partition("\n")[0]
            advice = f"`git diff {path}` shows what was edited, `git checkout {path}` takes it back"
            self.findings.append(Finding(str(path), Kind.UNREADABLE, "a file as DVC writes it", found, advice))
            return None
        return text

    @cached_property
    def tracked(self) -> Tracked:
        """What DVC tracks."""
        return self.objects.tracked(self._texts[LOCK], self._texts[RAW_FILE])

    @property
    def readable(self) -> bool:
        """Whether what is not tracked here is known not to be."""
        return not any(finding.kind is Kind.UNREADABLE for finding in self.findings)

    def says(self, path: str) -> tuple[tuple[str, str], ...]:
        """Which file says what of a path's content, as a claim has it; empty where nothing is known."""
        md5 = self.tracked.files.get(path)
        who = RAW_FILE if path.startswith(f"{RAW}/") else LOCK
        return ((str(who), _MD5 + md5),) if md5 else ()

    def knows(self, path: str) -> bool:
        """Whether a file's MD5 is known, or would be if the list of its folder's files were here."""
        return path in self.tracked.files or any(path.startswith(f"{root}/") for root in self.tracked.unlisted)

    def root_of(self, path: str) -> str:
        """The tracked folder or file that a path is in, by the name that DVC's commands take."""
        root = path
        while root and root not in self.tracked.roots:
            root = root.rpartition("/")[0]
        return root or path

    def restore(self, path: str, there: bool = True) -> str:
        """How a file comes back. It must go first if it is there: DVC may take it for right by its time and size."""
        md5 = self.tracked.files.get(path)
        if md5 is None:
            return "put it back, or remove its record and run snakemake, which makes it anew"
        name = shlex.quote(path)
        steps: tuple[str, ...] = () if self.objects.place(md5).exists() else (f"`dvc fetch {name}`",)
        steps += ("remove it", f"`dvc checkout {name}`") if there else (f"`dvc checkout {name}`",)
        return f"{', then '.join(steps)}; if it was changed on purpose or a run was broken off, run snakemake"

    def listed(self, roots: set[str]) -> set[str]:
        """Those folders whose list of files is in the cache and sound."""
        folders = {root for root in roots if root in self.tracked.roots and root not in self.tracked.files}
        return folders.difference(self.tracked.unlisted)

    def compare(self, roots: set[str]) -> Iterator[Finding]:
        """What of these tracked folders and files can't be compared, and what git has otherwise."""
        for root in sorted(roots.intersection(self.tracked.unlisted)):
            yield self._unlisted(root, self.tracked.roots[root])
        for path in (LOCK, RAW_FILE):
            yield from self._committed(path)

    def _unlisted(self, root: str, md5: str) -> Finding:
        expected, fetch = f"{_MD5}{md5}, which lists its files", f"`dvc fetch {shlex.quote(root)}`"
        content = self.objects.read(md5)
        if isinstance(content.error, FileNotFoundError):
            # The index has the digests of raw files too; of a record's own bytes nobody else has any.
            kind = Kind.ABSENT if root == str(RAW) else Kind.UNLISTED
            advice = f"{fetch}; where nobody has it, {LOCK} was edited: `git log -p {LOCK}`"
            return Finding(root, kind, expected, "no such object in the cache", advice)
        advice = f"remove it, then {fetch}, or `dvc commit -f` if the folder's files are known to be right"
        return Finding(self.objects.named(md5), Kind.OBJECT, expected, str(content), advice)

    def _committed(self, path: Path) -> Iterator[Finding]:
        """How the file differs from the commit's that is checked out."""
        head = git.head(self._root)
        text = self._texts[path]
        if head is None or (text is None and not self.readable):
            return
        committed = git.show(self._root, head, path)
        if text is None or committed is None:
            if text is not None:
                yield Finding(str(path), Kind.UNCOMMITTED, "a commit", "in none", "`git add` and `git commit` it")
            elif committed is not None:
                yield Finding(str(path), Kind.MISSING, "as committed", "no file", f"`git checkout {path}`")
        elif text != committed:
            yield from self._differences(path, committed, text)

    def _differences(self, path: Path, committed: str, text: str) -> Iterator[Finding]:
        before, now = _roots(path, committed), _roots(path, text)
        for root in sorted(before.keys() - now.keys()):
            if (self._root / root).exists():
                advice = f"`dvc commit -f`, or `git checkout {path}` takes the edit back"
                yield Finding(root, Kind.LOCK, f"{_MD5}{before[root]}, as committed", f"not in {path}", advice)
        changed = [root for root in sorted(now) if now[root] != before.get(root)]
        found = f"another content of {', '.join(changed)}" if changed else "other lines about the same contents"
        advice = f"after a run, commit it; else `git diff {path}` shows what was edited"
        yield Finding(str(path), Kind.UNCOMMITTED, "as committed", found, advice)


def _parsed(text: str) -> _File:
    """Raises yaml.YAMLError and pydantic.ValidationError."""
    value = parsed(text)
    return _File.model_validate(value or {})


def _roots(path: Path, text: str) -> dict[str, str]:
    """Tracked folders and files to MD5; empty where the text is none of DVC's."""
    try:
        file = _parsed(text)
    except (yaml.YAMLError, ValidationError):
        return {}
    outs = [(str(path.parent / out.path), out.md5) for out in file.outs]
    outs += [(out.path, out.md5) for stage in file.stages.values() for out in stage.outs]
    return {root: md5 for root, md5 in outs if md5}
