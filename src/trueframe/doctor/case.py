"""The workspace under examination: each thing that several checks need is read once, and its trouble told once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from trueframe import raw
from trueframe.doctor.findings import UnknownError
from trueframe.errors import UserError
from trueframe.upkeep import LOCK
from trueframe.workspace import DVC, Workspace

Value = TypeVar("Value")

DVC_FOLDER = Path(".dvc")
# DVC writes this when it first works in a folder.
_DVC_WAS_HERE = DVC_FOLDER / "tmp/btime"
_KERNELS_LOCKS = Path("/proc/locks")
_HASHED_BYTES = 256_000_000  # half a second's worth


def dvc_was_here(root: Path) -> bool:
    """Whether DVC has worked in a folder, so that opening its memory makes no files."""
    return (root / _DVC_WAS_HERE).exists()


class Case:
    """root: the workspace; offline: whether nothing may be asked over the network."""

    def __init__(self, root: Path, offline: bool = False) -> None:
        """Nothing is read yet."""
        self.root, self.offline = root, offline
        self._known: dict[str, Any] = {}
        self._failed: set[str] = set()

    def _ask(self, what: str, find: Callable[[], Value]) -> Value:
        """What `find` gives, found once. The first who asks hears of its trouble, the others that it is not known."""
        if what in self._failed:
            raise UnknownError(f"not known while there is trouble with the {what}")
        if what not in self._known:
            try:
                self._known[what] = find()
            except Exception:
                self._failed.add(what)
                raise
        value: Value = self._known[what]
        return value

    @property
    def workspace(self) -> Workspace:
        """Raises UserError, then UnknownError, where params.yaml or dvc.yaml can't be read."""
        return self._ask("workspace", self._workspace)

    def _workspace(self) -> Workspace:
        workspace = Workspace(self.root)
        workspace.hashes = _Glance(self.root)
        try:
            _ = workspace.declared
        except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
            why = " ".join(str(error).split())
            raise UserError(
                f"{DVC}: expected the stages as the project has them ({why}); `git diff {DVC}` shows the edit, "
                f"`git checkout {DVC}` takes it back"
            ) from error
        return workspace

    @property
    def stale(self) -> Mapping[tuple[str, str], list[str]]:
        """Every unit that must or may run, and why: Workspace.stale_units. A raw video that DVC does not remember and
        that would take long to hash counts as changed.
        """
        workspace = self.workspace
        return self._ask("units", lambda: _stale(workspace))

    @property
    def config(self) -> Mapping[str, Any]:
        """DVC's configuration, of all its files. Raises UserError, then UnknownError, where it can't be read."""
        return self._ask("DVC repository", self._config)

    def _config(self) -> Mapping[str, Any]:
        from dvc.config import Config
        from dvc.exceptions import DvcException

        folder = self.root / DVC_FOLDER
        if not folder.is_dir():
            raise UserError(f"{folder}: not there, so this is no DVC repository; run in a clone, or run `dvc init`")
        try:
            config: Mapping[str, Any] = Config(str(folder))
        except DvcException as error:
            raise UserError(
                f"{folder}/config: can't be read ({error}); mend it, or `git checkout {DVC_FOLDER}/config`"
            ) from error
        return config

    @property
    def runner(self) -> int | None:
        """The process that runs Snakemake here at the moment; None where there is none."""
        return self._ask("lock", lambda: _runner(self.root / LOCK))


class _Glance(raw.Hashes):
    """Content of raw files as far as DVC remembers it or little of it is to be read. Nothing is remembered of that."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._left = _HASHED_BYTES

    def _known(self, paths: Iterable[str]) -> dict[str, str]:
        if not dvc_was_here(self._root):
            return {}
        try:
            return super()._known(paths)
        except UserError:
            return {}  # no repository, or a memory that can't be opened: each has a check of its own

    def _hashed(self, path: Path) -> str:
        if not path.is_file():
            return "not a file"
        if known := self._known([str(path)]).get(str(path)):
            return known
        self._left -= path.stat().st_size
        if self._left < 0:
            return "not read"
        with path.open("rb") as file:
            return f"md5:{hashlib.file_digest(file, _md5).hexdigest()}"


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _stale(workspace: Workspace) -> Mapping[tuple[str, str], list[str]]:
    try:
        return workspace.stale_units()
    except SyntaxError as error:
        raise UserError(f"src: a module of a stage is not Python ({error}); mend it") from error


def _runner(lock: Path) -> int | None:
    """The process that holds the lock, by the kernel's list: who tries a lock could keep a run from starting.

    The device is not compared: some file systems' is another one in the list. The number in the lock is, instead.
    """
    try:
        number, inode = int(lock.read_text(encoding="utf-8")), lock.stat().st_ino
    except (FileNotFoundError, ValueError):
        return None
    held = (line.split() for line in _KERNELS_LOCKS.read_text(encoding="ascii").splitlines())
    # 1: FLOCK ADVISORY WRITE <process> <device>:<inode> 0 EOF, and an arrow behind the number of one that waits
    return (
        number
        if any(words[1] == "FLOCK" and words[4] == str(number) and words[5].endswith(f":{inode}") for words in held)
        else None
    )
