"""What versions and shares the work: git, DVC, DVC's cache and its remotes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from trueframe import raw
from trueframe.addresses import public
from trueframe.audit import git as history
from trueframe.doctor import reach
from trueframe.doctor.case import Case, dvc_was_here
from trueframe.doctor.findings import Finding
from trueframe.engine import refuse_hardlinks

_HTTP = ("http", "https")


def git(case: Case) -> Iterator[Finding]:
    """Whether git versions the workspace, which DVC relies on."""
    if shutil.which("git") is None:
        yield Finding("git", "bad", "not installed", "install git")
    elif not history.inside(case.root):
        yield Finding("git", "bad", f"{case.root}: no git repository", "run in a clone, or run `git init`")
    else:
        commit = history.head(case.root)
        yield Finding("git", "ok", f"at {commit[:10]}" if commit else "a repository without a commit")


def cache(case: Case) -> Iterator[Finding]:
    """Whether DVC can put what is made into its cache and link it back."""
    types, folder = raw.cache_types(case.config), cache_folder(case)
    refuse_hardlinks(types)
    told = f"linked by {' or '.join(types)}, in {folder}"
    there = (path for path in (folder, folder / "files/md5") if path.exists())
    if closed := [path for path in there if not os.access(path, os.W_OK | os.X_OK)]:
        yield Finding("DVC's cache", "bad", f"{closed[0]}: can't be written", "give this user access to it")
    elif not folder.exists() and "dir" in case.config["cache"] and not folder.parent.exists():
        yield Finding("DVC's cache", "bad", f"{folder}: not there", "mount its disk, or mend `dvc config cache.dir`")
    else:
        yield Finding("DVC's cache", "ok", told)


def memory(case: Case) -> Iterator[Finding]:
    """Whether DVC can remember what it hashed: a file without a name is made there, for permissions alone tell little.

    The memory itself is opened where there is one. A repository that can't be has a check of its own.
    """
    from dvc.dirs import site_cache_dir

    folder = Path(site_cache_dir(case.config["core"].get("site_cache_dir")), "repo")
    try:
        with tempfile.TemporaryFile(dir=next(place for place in folder.parents if place.exists())):
            pass
    except OSError as error:
        yield Finding(
            "DVC's memory",
            "bad",
            f"{folder}: can't be written ({error.strerror})",
            "give this user access to it, or name another folder by `dvc config --local core.site_cache_dir`",
        )
        return
    if dvc_was_here(case.root) and history.inside(case.root):
        raw.repository(case.root)
    yield Finding("DVC's memory", "ok", f"in {folder.parent}")


def cache_folder(case: Case) -> Path:
    """Where DVC's cache lies."""
    return Path(case.config["cache"].get("dir") or case.root / ".dvc/cache")


def remotes(case: Case) -> Iterator[Finding]:
    """Whether the default remote, or else each one, answers."""
    known = case.config["remote"]
    default = case.config["core"].get("remote")
    if default and default not in known:
        yield Finding(
            "DVC remote", "bad", f"{default}: the default, but there is none of that name", "mend `dvc remote default`"
        )
    elif not known:
        yield Finding("DVC remote", "ok", "none; what is made stays on this machine")
    for name in [default] if default in known else [] if default else sorted(known):
        yield _remote(case, name, str(known[name]["url"]))


def _remote(case: Case, name: str, url: str) -> Finding:
    what, told = f"DVC remote {name}", public(url)
    scheme, _, _ = url.rpartition("://")
    if not scheme:
        return _folder(what, Path(url))
    if case.offline:
        return Finding(what, "skipped", f"{told}: not asked, --offline")
    trouble = reach.http_server(url) if scheme in _HTTP else _by_dvc(case.root, name)
    if trouble:
        return Finding(what, "bad", f"{told}: {trouble}", "connect this machine, or mend the remote by `dvc remote`")
    return Finding(what, "ok", f"{told} answers")


def _folder(what: str, path: Path) -> Finding:
    if not path.is_dir():
        return Finding(
            what, "bad", f"{path}: no folder there", "mount its disk; if it is a new one, `dvc push` makes it"
        )
    if not os.access(path, os.R_OK | os.X_OK):
        return Finding(what, "bad", f"{path}: can't be read", "give this user access to it")
    if not os.access(path, os.W_OK):
        return Finding(what, "warn", f"{path}: can be read, not written", "`dvc pull` works; `dvc push` needs access")
    return Finding(what, "ok", str(path))


def _by_dvc(root: Path, name: str) -> str | None:
    """What keeps DVC from a remote; None where nothing does. Asked in a process, which can be stopped."""
    words = [sys.executable, "-m", "trueframe.doctor.ask_remote", str(root), name]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=reach.PATIENCE_S * 2)
    except subprocess.TimeoutExpired:
        return f"no answer within {reach.PATIENCE_S * 2:.0f} s"
    if done.returncode == 0:
        return None
    return reach.line((done.stderr.strip().splitlines() or ["no answer"])[-1])
