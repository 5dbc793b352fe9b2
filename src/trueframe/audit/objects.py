"""What DVC keeps: which file of a commit has which content, and where in the cache that content lies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from trueframe import raw
from trueframe.errors import UserError

LOCK = Path("dvc.lock")
RAW_FILE = Path(f"{raw.RAW}.dvc")
_FOLDER = ".dir"  # ends the name of an object that lists a folder's files
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class Tracked:
    """The files that DVC tracks at one time.

    files: path, relative to the workspace, to the MD5 of its content; roots: the same of the tracked folders and files
    themselves, where a folder's MD5 ends in .dir; unlisted: folders whose object is not in the cache, so that their
    files are not known.
    """

    files: dict[str, str]
    roots: dict[str, str]
    unlisted: tuple[str, ...]


class Objects:
    """DVC's cache on this machine. An object is named by the MD5 of its bytes."""

    def __init__(self, root: Path) -> None:
        """`root`: the workspace, a DVC repository."""
        self._root = root
        self._listings: dict[str, dict[str, str] | None] = {}

    @cached_property
    def folder(self) -> Path:
        """Where the objects lie, each in a folder named by its first two digits."""
        return Path(raw.repository(self._root).cache.local.path)

    def place(self, md5: str) -> Path:
        """Where an object lies if it is here."""
        return self.folder / md5[:2] / md5[2:]

    def listing(self, md5: str) -> dict[str, str] | None:
        """A folder's files, relative path to MD5, by the object that lists them.

        None where it is not in the cache, or is there and not what its name says, or no list.
        """
        if md5 not in self._listings:
            place = self.place(md5)
            data = place.read_bytes() if place.is_file() else b""
            sound = f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}{_FOLDER}" == md5
            self._listings[md5] = _listed(data) if sound else None
        return self._listings[md5]

    def tracked(self, lock: str | None, raw_file: str | None) -> Tracked:
        """What DVC tracks by the text of a dvc.lock and of a data/raw.dvc; None where there is none.

        Raises UserError for a text that DVC did not write, such as one with the marks of a merge.
        """
        texts = {LOCK: lock, RAW_FILE: raw_file}
        roots = {path: md5 for file, text in texts.items() if text for path, md5 in _outs(file, text)}
        files: dict[str, str] = {}
        unlisted = []
        for path, md5 in roots.items():
            if not md5.endswith(_FOLDER):
                files[path] = md5
                continue
            listing = self.listing(md5)
            if listing is None:
                unlisted.append(path)
            else:
                files |= {f"{path}/{name}": digest for name, digest in listing.items()}
        return Tracked(files, roots, tuple(unlisted))


def _listed(data: bytes) -> dict[str, str] | None:
    try:
        return {entry["relpath"]: _md5(entry["md5"]) for entry in json.loads(data)}
    except (ValueError, TypeError, KeyError):
        return None  # a dvc.lock may name any file's bytes as a list


def parsed(text: str) -> Any:
    """What a file of DVC's says. By libyaml where PyYAML has it: a lock of 500 parts takes seconds without."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def _outs(file: Path, text: str) -> list[tuple[str, str]]:
    """(path, MD5) of what a dvc.lock or a data/raw.dvc says is tracked; paths relative to the workspace."""
    try:
        return list(_said(parsed(text) or {}))
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:  # no mapping, or one of others
        why = str(error).partition("\n")[0][:100]
        raise UserError(
            f"{file}: can't be read ({why}); expected a file as DVC writes it; `git diff {file}` shows the edit, "
            f"`git checkout {file}` takes it back"
        ) from error


def _said(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for stage in value.get("stages", {}).values():
        yield from ((str(out["path"]), _md5(out["md5"])) for out in stage.get("outs", []) if "md5" in out)
    for out in value.get("outs", []):  # of a .dvc file, which lies in data/
        if "md5" in out:
            yield f"{RAW_FILE.parent}/{out['path']}", _md5(out["md5"])


def _md5(name: str) -> str:
    """An object's name, which becomes a path: nothing else may pass. Raises ValueError for another."""
    if not _MD5.fullmatch(name):
        raise ValueError(f"{name!r} is no MD5")
    return name
