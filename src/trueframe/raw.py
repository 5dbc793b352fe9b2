"""The raw videos: which parts there are, and whether a part's content is what a record saw."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe.errors import UserError
from trueframe.files import UNREADABLE
from trueframe.printable import printable

if TYPE_CHECKING:
    from dvc.repo import Repo

RAW = Path("data/raw")
LABELS = "labels.csv"
_DVCS_TYPES = ("reflink", "copy")  # where nothing is configured
_NOT_READABLE = "not readable"  # content of a file that may not be read, or that its disk can't
_VIDEOS = ".videos"  # bboxes and crops have a second table, <part>.videos.parquet
_MEMORY = "core.site_cache_dir of DVC, else /var/tmp/dvc"
_NAME_BYTES = 200  # of a part; a file system's names have 255, and a temporary one of ours adds some 30


def parts(root: Path, kind: str) -> tuple[str, ...]:
    """Names of the parts of a kind ("train" or "test"), sorted: the folders in data/raw/<kind>."""
    folder = root / RAW / kind
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def require(root: Path) -> None:
    """Raise UserError when there are no raw videos to work on, or a part is a link or has a name that can't be carried.

    DVC does not follow links to folders: it would take such a part for none, and say nothing of it.
    """
    if not (root / RAW).is_dir():
        raise UserError(
            f"{RAW}: not there; put train parts in {RAW}/train/<part>/ and test parts in {RAW}/test/<part>/, "
            "or write the demo's with `trueframe demo-data`, or fetch a shared set with `dvc pull`"
        )
    names = [f"{kind}/{name}" for kind in ("train", "test") for name in parts(root, kind)]
    for name in ("", "train", "test", *names):
        place = RAW / name
        if (root / place).is_symlink():
            raise UserError(
                f"{place}: a link, and DVC does not follow links to folders; make it a folder, in which videos may be "
                f"links: remove it, then `cp -rs {shlex.quote(str((root / place).resolve()))} {place}`"
            )
    for name in names:
        if why := _unfit(name, names):
            raise UserError(f"{RAW}/{printable(name)}: {why}; give the part another name")
    if not names:
        raise UserError(f"{RAW}: has no part; expected folders {RAW}/train/<part>/ with videos and metadata.json")


def _unfit(name: str, names: Collection[str]) -> str | None:
    """Why the files of a part can't be named after it; None where they can."""
    if re.search(r"\{.*\}", name, re.DOTALL):
        return "Snakemake takes braces in a name for a wildcard"
    try:
        size = len(Path(name).name.encode())
    except UnicodeEncodeError:
        return "a name that is no UTF-8"
    if size > _NAME_BYTES:
        return f"a name of {size} bytes; {_NAME_BYTES} at most leave room for what is added to it"
    if name.endswith(_VIDEOS) and name.removesuffix(_VIDEOS) in names:
        return f"its files would have the names of {name.removesuffix(_VIDEOS)}'s"
    return None


def obstacle(root: Path) -> str | None:
    """A file in data/raw that DVC can't take, and why, relative to the workspace; None where there is none.

    It would fail on a link to nothing and on what may not be read, and wait for ever for a pipe to say something.
    """
    for folder, _, names in os.walk(root / RAW):
        for name in sorted(names):
            path = Path(folder, name)
            if not path.exists():
                why = "a link to a file that is not there"
            elif not path.is_file():
                why = "a pipe or device, not a file"
            elif not os.access(path, os.R_OK):
                why = "can't be read"
            else:
                continue
            return f"{path.relative_to(root)}: {why}"
    return None


def repository(root: Path) -> Repo:
    """DVC's repository at `root`. Raises UserError where there is none, or what DVC needs can't be read or written."""
    from dvc.config import ConfigError
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with _remembering():
            repo = Repo(str(root))
        _ = repo.scm  # asked for later otherwise, and the trouble told there
    except (NotDvcRepoError, SCMError) as error:
        raise UserError(
            f"{root}: not a repository of git and DVC ({error}); run in a clone, or run `git init` and `dvc init`"
        ) from error
    except ConfigError as error:
        raise UserError(
            f"{root / '.dvc/config'}: can't be read ({error}); mend it, or `git checkout .dvc/config`"
        ) from error
    except OSError as error:
        advice = (
            "allow more open files (`ulimit -n`)"
            if error.errno in (errno.EMFILE, errno.ENFILE)
            else f"see that .dvc/tmp and DVC's memory of files ({_MEMORY}) can be written"
        )
        raise UserError(
            f"{error.filename or root}: DVC can't work there ({error.strerror}); {advice}, then run again: what was "
            "there is unharmed"
        ) from error
    return repo


def cache_types(config: Mapping[str, Any]) -> list[str]:
    """How DVC links its cache into the workspace, first what it tries first: of reflink, hardlink, symlink, copy."""
    configured = config["cache"].get("type") or _DVCS_TYPES
    return [configured] if isinstance(configured, str) else list(configured)


@contextmanager
def _remembering() -> Iterator[None]:
    """Tell of a full disk and the like where DVC keeps what it remembers, in a database outside the workspace."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"DVC's memory of files: {error}; see that its folder ({_MEMORY}) can be written, free some space there, "
            "or remove it if it is damaged, then run again: what was there is unharmed"
        ) from error


class Hashes:
    """Content of raw files by DVC's own MD5 and through DVC's own memory of it (by inode, time and size).

    So a video is hashed once, whoever asks first: DVC or we.
    """

    def __init__(self, root: Path) -> None:
        """`root`: the workspace, a DVC repository."""
        self._root = root

    def part(self, unit: str) -> dict[str, str]:
        """Path, relative to the workspace, to "md5:<digest>" of each file that `index` reads of a part."""
        folder = self._root / RAW / unit
        try:
            names = sorted(
                path.name for path in folder.iterdir() if path.name != LABELS and not path.name.startswith(".")
            )
            known = self._known(f"{folder}/{name}" for name in names)
            return {
                f"{RAW}/{unit}/{name}": self._content(folder / name, known.get(f"{folder}/{name}")) for name in names
            }
        except PermissionError as error:
            raise UserError(
                f"{folder}: can't be read ({error.strerror}); give permission to read and enter it"
            ) from error

    def labels(self, unit: str) -> dict[str, str]:
        """The same of a test part's labels.csv; empty where there is none."""
        path = self._root / RAW / unit / LABELS
        return {f"{RAW}/{unit}/{LABELS}": self.file(path)} if path.is_file() else {}

    @cached_property
    def _repo(self) -> Repo:
        return repository(self._root)

    def _content(self, path: Path, known: str | None) -> str:
        """As `file`. known: what DVC remembers, which does not help where the file may not be read (any more)."""
        if not os.access(path, os.R_OK) and path.is_file():
            return _NOT_READABLE
        try:
            return known or self._hashed(path)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            return _NOT_READABLE

    def file(self, path: Path) -> str:
        """ "md5:<digest>" of a file; "not a file" where there is none."""
        try:
            return self._hashed(path)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            advice = "see whether its disk is sound" if error.errno == errno.EIO else "give read permission"
            raise UserError(f"{path}: can't be read ({error.strerror}); {advice} or remove it") from error

    def _hashed(self, path: Path) -> str:
        if not path.is_file():
            return "not a file"
        from dvc_data.hashfile.hash import hash_file
        from dvc_objects.fs.local import localfs

        with _remembering():
            _, digest = hash_file(str(path), localfs, "md5", self._repo.state)
        return f"md5:{digest.value}"

    def _known(self, paths: Iterable[str]) -> dict[str, str]:
        """What DVC remembers of many files, asked at once: 100,000 single questions take seconds more."""
        from dvc_objects.fs.local import localfs

        with _remembering():
            told = list(self._repo.state.get_many(paths, localfs, {}))
        return {
            path: f"md5:{digest.value}"
            for path, _, digest in told
            if digest and digest.name == "md5" and not digest.isdir
        }

    def known(self, path: Path) -> str | None:
        """The same if DVC remembers it, else None: nothing is hashed."""
        from dvc_objects.fs.local import localfs

        _, digest = self._repo.state.get(str(path), localfs)
        return f"md5:{digest.value}" if digest else None

    @property
    def cache_types(self) -> list[str]:
        """cache_types of the workspace's configuration."""
        return cache_types(self._repo.config)
