"""What DVC keeps: which file of a commit has which content, and where in the cache that content lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from trueframe import raw

LOCK = Path("dvc.lock")
RAW_FILE = Path(f"{raw.RAW}.dvc")
_FOLDER = ".dir"  # ends the name of an object that lists a folder's files


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

        None where it is not in the cache, or is there and not what its name says.
        """
        if md5 not in self._listings:
            place = self.place(md5)
            data = place.read_bytes() if place.is_file() else b""
            sound = f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}{_FOLDER}" == md5
            self._listings[md5] = {entry["relpath"]: entry["md5"] for entry in json.loads(data)} if sound else None
        return self._listings[md5]

    def tracked(self, lock: str | None, raw_file: str | None) -> Tracked:
        """What DVC tracks by the text of a dvc.lock and of a data/raw.dvc; None where there is none."""
        roots = {path: md5 for text in (lock, raw_file) if text for path, md5 in _outs(text)}
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


def _outs(text: str) -> Iterator[tuple[str, str]]:
    """(path, MD5) of what a dvc.lock or a data/raw.dvc says is tracked; paths relative to the workspace."""
    value = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}  # noqa: S506 - both are safe loaders
    for stage in value.get("stages", {}).values():
        yield from ((out["path"], out["md5"]) for out in stage.get("outs", []) if "md5" in out)
    for out in value.get("outs", []):  # of a .dvc file, which lies in data/
        if "md5" in out:
            yield f"{RAW_FILE.parent}/{out['path']}", out["md5"]
