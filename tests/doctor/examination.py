"""Asking `trueframe doctor`, in this process and as a command, and servers for it to ask."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from trueframe.doctor import checkup
from trueframe.doctor.findings import Finding
from workspaces import REPO, call

OTHER = {"submission.unknown_score": 0.25}


def own(source: Path, path: Path) -> Path:
    """A copy that has this repository's code in place of its own, so that it can be examined in this process.

    What no test changes is shared with the source: hundreds of small files.
    """
    shared = {"src": REPO / "src", ".git": source / ".git", ".dvc/cache": source / ".dvc/cache"}
    unasked = ("src", ".git", "cache", "logs", "log", "metadata", "mlruns", "tests", "benchmarks", "docs")
    shutil.copytree(source, path, symlinks=True, ignore=shutil.ignore_patterns(*unasked))
    for name, target in shared.items():
        (path / name).symlink_to(target)
    return path


def found(path: Path, what: str, offline: bool = False) -> list[Finding]:
    """What a check finds."""
    return checkup.examine(path, offline, {what: checkup.CHECKS[what]})


def only(path: Path, what: str, offline: bool = False) -> Finding:
    (one,) = found(path, what, offline)
    return one


def troubles(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(one.what, one.state) for one in findings if one.state != "ok"}


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """Kind, permissions, time and content of all that lies below a folder."""
    known: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        told = path.lstat()
        plain = path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if plain else None
        known[str(path.relative_to(root))] = (told.st_mode, told.st_mtime_ns, content)
    return known


def ask(path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return call(path, "python", "-m", "trueframe", "doctor", *words, check=False, PYTHONPATH="src", **environment)


@contextmanager
def server(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server that always gives the same answer: host and port, and the paths that it was asked for."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{one.server_port}", asked
        finally:
            one.shutdown()
            thread.join()


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield f"127.0.0.1:{one.getsockname()[1]}"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return f"127.0.0.1:{one.getsockname()[1]}"


def add_remote(path: Path, url: str) -> None:
    """Configure a default remote of DVC."""
    (path / ".dvc/config").write_text(f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {url}\n")
